#!/bin/sh
# mariadb-slap (mysqlslap): many sessions at once, and with statements of the suite's own.
. "$(dirname -- "$0")/options.sh"

# Its answer holds times; what counts is that it ends well, and what it leaves.
slap() {
    printf '== %s\n' "$*"
    client mariadb-slap --silent --create-schema="${CLIENT_DATABASE}_slap" --concurrency=8 "$@" >said 2>&1 ||
        fail "mariadb-slap $*: $(cat said)"
    [ ! -s said ] || fail "mariadb-slap $*: $(cat said)"
}

for load in mixed update write key read; do
    slap --auto-generate-sql --auto-generate-sql-load-type="$load" --auto-generate-sql-add-autoincrement \
        --number-char-cols=3 --number-int-cols=2 --number-of-queries=400 --auto-generate-sql-write-number=50
done
slap --auto-generate-sql --auto-generate-sql-secondary-indexes=2 --number-of-queries=200 --detach=20 --iterations=2 --commit=10
slap --delimiter=';' --create='CREATE TABLE kept (id INT AUTO_INCREMENT PRIMARY KEY, s VARCHAR(50))' --no-drop \
    --query="INSERT INTO kept (s) VALUES (REPEAT('x', 50)); SELECT COUNT(*) FROM kept; SELECT REPEAT('y', 10000)" \
    --number-of-queries=600
equal "$(client mariadb --batch --skip-column-names -e "SELECT COUNT(*), SUM(LENGTH(s)) FROM ${CLIENT_DATABASE}_slap.kept" | tr '\t' ' ')" '200 10000'
