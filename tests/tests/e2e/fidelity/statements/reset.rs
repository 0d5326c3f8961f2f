//! The state that statements and scripts start from.

/// Makes the database and the accounts anew.
pub const RESET: &[&str] = &[
    // Triggers and routines tell when they were made.
    "SET sql_mode = '', timestamp = 1700000000",
    "DROP DATABASE IF EXISTS fidelity",
    "DROP DATABASE IF EXISTS fidelity_other",
    "CREATE DATABASE fidelity CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
    "USE fidelity",
    "CREATE TABLE pets (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(40) NOT NULL, \
     age INT, photo VARCHAR(100), note TEXT)",
    "INSERT INTO pets (name, age, photo, note) VALUES ('Ada', 3, 'a.png', NULL), \
     ('Bo', NULL, 'b.png', 'old'), ('Cy', 7, NULL, ''), ('Dée', 1, 'd.png', 'ml.predict')",
    "CREATE TABLE many (n INT PRIMARY KEY, t VARCHAR(200))",
    "INSERT INTO many SELECT seq, REPEAT(CHAR(65 + seq % 26), seq % 200) FROM seq_1_to_700",
    "CREATE TABLE kinds (a TINYINT, b SMALLINT UNSIGNED, c MEDIUMINT, d INT ZEROFILL, e BIGINT UNSIGNED, \
     f FLOAT, g DOUBLE, h DECIMAL(30,10), i BIT(10), j DATE, k TIME(6), l DATETIME(3), m TIMESTAMP NULL, n YEAR, \
     o CHAR(5), p VARCHAR(20) COLLATE latin1_swedish_ci, q BINARY(4), r VARBINARY(10), s TINYBLOB, t MEDIUMTEXT, \
     u LONGBLOB, v ENUM('x','y'), w SET('p','q','r'), x JSON, y POINT, z INET6, aa UUID, \
     ab TINYTEXT, ac MEDIUMBLOB, ad GEOMETRY, ae INET4, af BOOLEAN, ag DECIMAL(65,30) UNSIGNED)",
    "INSERT INTO kinds VALUES (-128, 65535, -8388608, 42, 18446744073709551615, 1.5, -2.25e300, \
     12345678901234567890.0123456789, b'1000000001', '2024-02-29', '-838:59:58.999999', '2024-12-31 23:59:59.123', \
     '2020-01-01 00:00:01', 1999, 'abc', 'été', 'ab', x'00ff', 'tiny', 'medium', x'deadbeef', 'y', 'p,r', \
     '{\"a\": [1, null]}', POINT(1, 2), '::ffff:10.0.0.1', '123e4567-e89b-12d3-a456-426655440000', \
     't', x'00', ST_GeomFromText('LINESTRING(0 0, 1 1)'), '10.0.0.1', TRUE, 0.1)",
    "INSERT INTO kinds VALUES (127, 0, 8388607, 4294967295, 0, 3.402823466e38, 1.7976931348623157e308, \
     -99999999999999999999.9999999999, b'1111111111', '9999-12-31', '838:59:59.999999', '9999-12-31 23:59:59.999', \
     '2038-01-19 00:00:00', 2155, 'ÀÉ日本語', '', '', '', '', REPEAT('m', 70000), REPEAT('b', 260), 'x', 'p,q,r', \
     '[]', POINT(-1e100, 0), 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'ffffffff-ffff-ffff-ffff-ffffffffffff', \
     REPEAT('t', 255), REPEAT('c', 65536), ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1))'), '255.255.255.255', \
     FALSE, 99999999999999999999999999999999999.999999999999999999999999999999)",
    "INSERT INTO kinds VALUES (0, 1, 0, 0, 1, 0, -0.0, 0, 0, '0000-00-00', '00:00:00', '0000-00-00 00:00:00', 0, 0, \
     '', ' ', x'00', x'00', x'00', '', '', '', '', '1', POINT(0, 0), '::', '00000000-0000-0000-0000-000000000000', \
     '', '', POINT(0, 0), '0.0.0.0', 0, 0)",
    "INSERT INTO kinds VALUES ()",
    "CREATE TABLE parents (id INT PRIMARY KEY)",
    "CREATE TABLE children (id INT PRIMARY KEY, parent INT, \
     CONSTRAINT of FOREIGN KEY (parent) REFERENCES parents (id) ON UPDATE CASCADE)",
    "CREATE TABLE checked (a INT CHECK (a > 0), doubled INT AS (a * 2) VIRTUAL, kept INT AS (a + 1) STORED, \
     secret INT INVISIBLE DEFAULT 7)",
    "CREATE TABLE history (id INT PRIMARY KEY, v INT) WITH SYSTEM VERSIONING",
    "INSERT INTO history VALUES (1, 1), (2, 1)",
    "CREATE TABLE stays (guest INT, arrival DATE, departure DATE, PERIOD FOR stay (arrival, departure))",
    "CREATE TABLE texts (id INT, body TEXT, FULLTEXT (body)) ENGINE = MyISAM",
    "INSERT INTO texts VALUES (1, 'a grey cat'), (2, 'a grey dog'), (3, 'no words of note')",
    "CREATE TABLE parts (id INT) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (100), \
     PARTITION p1 VALUES LESS THAN MAXVALUE)",
    "CREATE SEQUENCE counter",
    "CREATE TABLE counted (id INT DEFAULT NEXTVAL(counter))",
    "CREATE TABLE watched (id INT)",
    "CREATE TABLE watch_log (text VARCHAR(100))",
    "CREATE TRIGGER watch BEFORE INSERT ON watched FOR EACH ROW BEGIN IF NEW.id < 0 THEN \
     SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'negative'; END IF; INSERT INTO watch_log VALUES (CONCAT('got ', NEW.id)); END",
    "CREATE PROCEDURE two_results() BEGIN SELECT 1 AS one; SELECT id, name FROM fidelity.pets; END",
    "CREATE PROCEDURE outs(IN a INT, OUT b INT, INOUT c VARCHAR(20)) BEGIN SET b = a + 1; \
     SET c = CONCAT(c, '!'); SELECT b, c; END",
    "CREATE PROCEDURE fails() BEGIN SELECT 'before' AS t; SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'; END",
    "CREATE PROCEDURE loops(n INT) BEGIN WHILE n > 0 DO SELECT n, REPEAT('-', n) line; SET n = n - 1; END WHILE; END",
    "CREATE PROCEDURE warns() BEGIN SELECT 1/0 AS warned; SELECT 'a' + 1 AS warned; \
     SIGNAL SQLSTATE '01000' SET MESSAGE_TEXT = 'mind this'; END",
    "CREATE PROCEDURE cursors_within() BEGIN DECLARE done INT DEFAULT 0; DECLARE v INT; \
     DECLARE c CURSOR FOR SELECT id FROM fidelity.pets ORDER BY id LIMIT 3; DECLARE CONTINUE HANDLER FOR NOT FOUND SET done = 1; \
     OPEN c; walk: LOOP FETCH c INTO v; IF done THEN LEAVE walk; END IF; SELECT v; END LOOP; CLOSE c; END",
    "CREATE PROCEDURE dynamic(sql_text TEXT) BEGIN EXECUTE IMMEDIATE sql_text; SELECT ROW_COUNT(); END",
    "CREATE PROCEDURE deep(n INT) BEGIN SET max_sp_recursion_depth = 9; SELECT n; IF n > 0 THEN CALL fidelity.deep(n - 1); END IF; END",
    "CREATE PROCEDURE many_results(n INT) BEGIN SELECT * FROM fidelity.kinds; SELECT 1 WHERE 0; UPDATE fidelity.pets SET age = age; \
     SELECT seq FROM fidelity.seq_1_to_20 WHERE seq <= n; DO 0; SELECT REPEAT('x', 70000); END",
    "CREATE PROCEDURE resignals() BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN SELECT 'handled'; \
     RESIGNAL SET MESSAGE_TEXT = 'again', MYSQL_ERRNO = 30001; END; SELECT * FROM nowhere; END",
    "CREATE PROCEDURE leaves_transaction() BEGIN START TRANSACTION; INSERT INTO fidelity.pets (name) VALUES ('left'); SELECT 1; END",
    "CREATE PROCEDURE fill(n INT) BEGIN FOR i IN 1..n DO INSERT INTO fidelity.pets (name) VALUES (CONCAT('fill', i)); END FOR; END",
    "CREATE FUNCTION predict(x INT) RETURNS INT DETERMINISTIC RETURN x * 2",
    "CREATE FUNCTION fails_in_function() RETURNS INT BEGIN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'inside'; RETURN 1; END",
    "CREATE FUNCTION by_cursor() RETURNS INT DETERMINISTIC BEGIN DECLARE v INT; DECLARE c CURSOR FOR SELECT 2; \
     OPEN c; FETCH c INTO v; RETURN v; END",
    "CREATE FUNCTION with_state(x INT) RETURNS INT BEGIN SET @state = COALESCE(@state, 0) + x; RETURN @state; END",
    "CREATE OR REPLACE USER plain@'127.0.0.1'",
    "GRANT ALL ON fidelity.* TO plain@'127.0.0.1'",
    "CREATE OR REPLACE USER named@'127.0.0.1' IDENTIFIED BY 'secret'",
    "GRANT SELECT ON fidelity.* TO named@'127.0.0.1'",
    "CREATE OR REPLACE USER curved@'127.0.0.1' IDENTIFIED VIA ed25519 \
     USING PASSWORD('0123456789abcdef0123456789abcdef')",
    "GRANT SELECT ON fidelity.* TO curved@'127.0.0.1'",
    "CREATE OR REPLACE USER expired@'127.0.0.1' IDENTIFIED BY 'secret' PASSWORD EXPIRE",
    "CREATE OR REPLACE USER locked@'127.0.0.1' ACCOUNT LOCK",
    "CREATE OR REPLACE USER secured@'127.0.0.1' REQUIRE SSL",
    "CREATE OR REPLACE USER rationed@'127.0.0.1' WITH MAX_CONNECTIONS_PER_HOUR 1",
    "FLUSH USER_RESOURCES",
];
