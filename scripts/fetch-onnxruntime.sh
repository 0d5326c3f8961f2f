#!/bin/sh
# Fetches the ONNX Runtime library that the executor loads, out of its PyPI wheel (MIT licence).
#
# usage: scripts/fetch-onnxruntime.sh [DIR]
#
# Puts libonnxruntime.so into DIR (default: .cache/onnxruntime at the root of the repository) and
# prints its path as the last line. Does nothing if it is there already. Needs python3 with pip, to
# download only: neither the build nor the program uses Python.
set -eu

VERSION=1.32.0

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
dir=${1:-$root/.cache/onnxruntime}
lib=$dir/libonnxruntime.so

say() { printf '%s\n' "$*" >&2; }

if [ -s "$lib" ] && [ "$(cat "$dir/VERSION" 2>/dev/null)" = "$VERSION" ]; then
    say "ONNX Runtime $VERSION is there already"
    printf '%s\n' "$lib"
    exit 0
fi

case "$(uname -s)/$(uname -m)" in
    Linux/x86_64) platform=manylinux_2_28_x86_64 ;;
    Linux/aarch64) platform=manylinux_2_28_aarch64 ;;
    *)
        say "no ONNX Runtime wheel is known for $(uname -s) on $(uname -m):"
        say "install ONNX Runtime >= 1.24 yourself and set PREDICTSQL_ORT_LIB to its libonnxruntime.so"
        exit 1
        ;;
esac

if ! python3 -m pip --version >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "python3 has no pip: installing python3-pip"
        apt-get update -qq >&2
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 python3-pip >&2
    else
        say "python3 with pip is needed to download ONNX Runtime (Debian: apt-get install python3-pip)"
        exit 1
    fi
fi

mkdir -p "$dir"
tmp=$(mktemp -d "$dir/fetch.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM

# The library in the wheel is the same for every Python version, so one is named and whichever
# python3 runs here does not matter.
say "downloading ONNX Runtime $VERSION (PyPI wheel, about 28 MB)"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
    --implementation cp --python-version 3.12 --abi cp312 \
    --platform "$platform" --platform manylinux_2_27_"${platform##manylinux_2_28_}" \
    --dest "$tmp" "onnxruntime==$VERSION" >&2

# Written beside and renamed, so that an interrupted run never leaves half a library.
python3 - "$tmp" "$VERSION" <<'PY'
import pathlib
import shutil
import sys
import zipfile

folder, version = pathlib.Path(sys.argv[1]), sys.argv[2]
wheel = next(folder.glob("*.whl"))
member = f"onnxruntime/capi/libonnxruntime.so.{version}"
with zipfile.ZipFile(wheel) as archive:
    with archive.open(member) as source, open(folder / "libonnxruntime.so", "wb") as target:
        shutil.copyfileobj(source, target)
PY
mv -f "$tmp/libonnxruntime.so" "$lib"
printf '%s\n' "$VERSION" > "$dir/VERSION"
say "ONNX Runtime $VERSION is in $dir"
printf '%s\n' "$lib"
