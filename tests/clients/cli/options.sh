# Read by the suites of this folder: where they run, and what they show. They run in an empty folder of their own.
set -eu

# Single quotes and spaces are as they are between double quotes.
quoted=$(printf '%s' "$CLIENT_PASSWORD" | sed 's/[\\"]/\\&/g')
cat >options.cnf <<END
[client]
protocol = tcp
host = $CLIENT_HOST
port = $CLIENT_PORT
user = $CLIENT_USER
password = "$quoted"
END
if [ "${CLIENT_TLS:-}" = 1 ]; then
    printf 'ssl-ca = %s\nssl-verify-server-cert\n' "$CLIENT_CA" >>options.cnf
fi
# mariadb-slap has no such option.
for program in mysql mysqldump mysqlimport mysqlshow mysqlcheck; do
    printf '[%s]\ndefault-character-set = utf8mb4\n' "$program" >>options.cnf
done
suites=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

# A client program with the options of the account.
client() {
    program=$1
    shift
    "$program" --defaults-file=options.cnf "$@"
}

sql() {
    client mariadb "$@" "$CLIENT_DATABASE"
}

# Runs a command, and shows its output and its status.
step() {
    printf '== %s\n' "$1"
    shift
    status=0
    "$@" >said 2>&1 || status=$?
    sed "s|([0-9.]* sec)|(time)|" said
    printf '== ended with %s\n' "$status"
}

# The same for a long output: its lines and its digest.
digest() {
    printf '== %s\n' "$1"
    shift
    "$@" >long 2>&1
    printf '%s lines, %s\n' "$(wc -l <long)" "$(sha256sum <long)"
}

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

equal() {
    [ "$1" = "$2" ] || fail "found $1, wanted $2"
}
