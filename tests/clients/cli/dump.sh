#!/bin/sh
# mariadb-dump, mariadb-import: a dump of every kind of object, restored, and dumped again.
. "$(dirname -- "$0")/options.sh"

restored=${CLIENT_DATABASE}_restored
sql --init-command="SET time_zone = '+00:00'" <"$suites/every_type.sql"
sql <"$suites/cli/objects.sql"

# All of the database named, without what differs from run to run.
dump() {
    client mariadb-dump --skip-dump-date --routines --events --triggers --max-allowed-packet=64M "$@"
}

# Some elements and attributes hold the times of tables and routines, and estimates.
as_xml() {
    dump --xml "$CLIENT_DATABASE" | sed -E '/<options /d; s/ (Created|Modified|LAST_ALTERED|CREATED|Cardinality)="[^"]*"//g'
}

step 'definitions' dump --no-data "$CLIENT_DATABASE"
digest 'all' dump "$CLIENT_DATABASE"
digest 'in one transaction' dump --single-transaction --quick "$CLIENT_DATABASE"
digest 'by columns, a row a statement' dump --complete-insert --skip-extended-insert --order-by-primary "$CLIENT_DATABASE"
digest 'blobs in hex' dump --hex-blob --skip-quick "$CLIENT_DATABASE"
digest 'as XML' as_xml
digest 'by latin1' dump --default-character-set=latin1 "$CLIENT_DATABASE"
step 'some rows' dump --compact --no-create-info --where='id < 4' "$CLIENT_DATABASE" parent child
step 'no such table' dump "$CLIENT_DATABASE" nowhere

for options in '' --hex-blob '--single-transaction --skip-extended-insert'; do
    # shellcheck disable=SC2086 # a list of options
    dump $options "$CLIENT_DATABASE" >first.sql
    grep -q 'EVENT `sometimes`' first.sql || fail "the dump has no event"
    client mariadb -e "CREATE DATABASE $restored CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"
    client mariadb --max-allowed-packet=64M "$restored" <first.sql
    # shellcheck disable=SC2086
    dump $options "$restored" | sed "s/$restored/$CLIENT_DATABASE/g" >second.sql
    cmp first.sql second.sql >&2 || fail "what was restored is another database ($options)"
    client mariadb -e "DROP DATABASE $restored"
    printf '== restored %s\n%s\n' "$options" "$(sha256sum <first.sql)"
done

seq 1 30000 | sed 's/.*/&\tline &/' >imported.txt
sql -e 'CREATE TABLE imported (n INT PRIMARY KEY, s VARCHAR(20))'
step 'import' client mariadb-import --local "$CLIENT_DATABASE" imported.txt
step 'import again' client mariadb-import --local --replace --use-threads=2 "$CLIENT_DATABASE" imported.txt
equal "$(sql --batch --skip-column-names -e 'SELECT COUNT(*), SUM(n) FROM imported' | tr '\t' ' ')" '30000 450015000'
