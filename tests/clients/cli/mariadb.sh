#!/bin/sh
# The mariadb command-line client: its formats, what it tells of columns, scripts, errors, local files.
. "$(dirname -- "$0")/options.sh"

if [ "${CLIENT_PREDICT:-}" = 1 ]; then
    labels=$(sql --batch --skip-column-names -e "SELECT ml.predict('apparel', photo) FROM photos ORDER BY id" | paste -s -d,)
    equal "$labels" "$CLIENT_EXPECT"
    labels=$(sql --user="${CLIENT_USER}_view" --batch --skip-column-names -e "SELECT kind FROM seen ORDER BY id" | paste -s -d,)
    equal "$labels" "$CLIENT_EXPECT"
    if sql --user="${CLIENT_USER}_view" -e "SELECT photo FROM photos" >said 2>&1; then fail "the table behind the view was read"; fi
    grep -q 'ERROR 1142' said || fail "$(cat said)"
    exit 0
fi

sql --init-command="SET time_zone = '+00:00'" <"$suites/every_type.sql"
sql --delimiter='$$' -e "CREATE PROCEDURE two() BEGIN SELECT 1 AS one; SELECT 2 AS two, 'é' AS e; END\$\$ CREATE TABLE plain (id INT AUTO_INCREMENT PRIMARY KEY, s VARCHAR(20) UNIQUE)\$\$"
short="SELECT id, c_decimal, c_date, c_varchar, c_varbinary, c_json FROM every_type WHERE id < 3"
for format in --batch --table --vertical --xml --html --silent; do
    step "as $format" sql "$format" -e "SET time_zone = '+00:00'; $short; SELECT NULL; SELECT 1 WHERE 0; CALL two(); DO 1"
done
step 'column types' sql --table --column-type-info -e "SELECT * FROM every_type WHERE id = 7; SELECT 1, 'a', NULL, 1/3, COUNT(*) FROM plain"
digest 'every type' sql --batch --raw -e "SET time_zone = '+00:00'; SELECT * FROM every_type"
digest 'in hex' sql --table --binary-as-hex -e "SET time_zone = '+00:00'; SELECT * FROM every_type"
for way in --quick --batch; do
    digest "a large result, $way" sql "$way" --skip-column-names -e "SELECT seq, REPEAT('x', seq % 100) FROM seq_1_to_100000"
done
digest 'a large value' sql --batch --max-allowed-packet=64M -e "SELECT REPEAT('ab', 9 << 20), LENGTH(REPEAT('x', 1))"

cat >script.sql <<'END'
-- Typed lines.
SELECT 'begins';
INSERT INTO plain (s) VALUES ('a'), ('b');
SELECT LAST_INSERT_ID(), ROW_COUNT();
INSERT INTO plain (s) VALUES ('a');
SELECT * FROM nowhere;
SELECT 1/0;
START TRANSACTION; DELETE FROM plain; ROLLBACK;
SELECT s FROM plain ORDER BY s\G
/* a comment
   of two lines; and a semicolon */
SELECT 'quoted ; text' AS "quoted ; name";
DELIMITER //
SELECT 1; SELECT 2//
DELIMITER ;
SELECT 'ends';
END
step 'a script' sql --table -vvv --force --show-warnings --skip-reconnect <script.sql
step 'a script that stops' sql --batch <script.sql
step 'a file read by the client' sql --batch -e 'source script.sql'
step 'unbuffered' sql --batch --unbuffered -e 'SELECT 1; SELECT 2'
# It asks for the columns of every table, for completion.
step 'completion' sql --batch --auto-rehash -e 'SELECT DATABASE()'
step 'compression where it is to be had' sql --batch --compress -e 'SELECT COUNT(*) FROM every_type'
step 'safe updates' sql --safe-updates -e "DELETE FROM plain; SELECT @@sql_select_limit, @@max_join_size"
step 'another database' client mariadb -e "CREATE DATABASE ${CLIENT_DATABASE}_other; USE ${CLIENT_DATABASE}_other; SELECT DATABASE(); USE $CLIENT_DATABASE; SELECT DATABASE(); DROP DATABASE ${CLIENT_DATABASE}_other"
for charset in latin1 utf8mb3 utf8mb4 cp1251 binary; do
    step "by $charset" sql --batch --default-character-set="$charset" -e "SELECT c_latin1, c_cp1251, HEX(c_latin1), @@character_set_results, 'é', HEX('é') FROM every_type WHERE id = 1"
done
printf '1,one\n2,"two, too"\n3,\\N\n' >rows.csv
step 'a local file' sql --local-infile=1 -vv --show-warnings -e "CREATE TABLE loaded (n INT, s VARCHAR(20)); LOAD DATA LOCAL INFILE 'rows.csv' INTO TABLE loaded FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"'; SELECT * FROM loaded"
step 'no local file' sql --local-infile=0 -e "LOAD DATA LOCAL INFILE 'rows.csv' INTO TABLE loaded"
step 'no such file' sql --local-infile=1 -e "LOAD DATA LOCAL INFILE 'none.csv' INTO TABLE loaded"
step 'a wrong password' client mariadb --password=wrong -e 'SELECT 1'
step 'no password' client mariadb --skip-password -e 'SELECT 1'
step 'no such database' client mariadb "${CLIENT_DATABASE}_none" -e 'SELECT 1'
equal "$(sql --batch --skip-column-names -e 'SELECT COUNT(*) FROM every_type; SELECT GROUP_CONCAT(s) FROM plain' | paste -s -d' ')" '5 a,b'
step 'ping' client mariadb-admin ping
step 'columns' client mariadb-show "$CLIENT_DATABASE" plain
step 'tables' client mariadb-show --count "$CLIENT_DATABASE"
step 'check' client mariadb-check --extended "$CLIENT_DATABASE"
