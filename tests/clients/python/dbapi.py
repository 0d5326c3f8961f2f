"""What programs do with any driver of Python's DB-API, step by step. A `Driver` says where drivers differ."""

import datetime
import decimal
import hashlib
import pathlib

from transcript import DATABASE, EXPECT, USER, check, equal, every_type_statements, show

MIB = 1 << 20
LARGE_ROWS = 100_000


class Driver:
    """A driver's module, and what the DB-API leaves open."""

    def __init__(self, module):
        self.module = module

    def connect(self, **options):
        """A connection; `password` and `database` may be given."""
        raise NotImplementedError

    def streaming(self, connection):
        """A cursor that does not keep a whole result."""
        raise NotImplementedError

    def errors(self):
        """What its errors are instances of."""
        return self.module.Error

    def facts(self, error):
        """What the driver tells of an error."""
        return type(error).__name__, *error.args

    def code(self, error):
        """The number of an error."""
        return error.args[0]

    def multi_options(self):
        """Options of `connect` under which a text may hold several statements."""
        return {}

    def run_several(self, connection, sql):
        """What each of several statements of one text gives: its rows or its affected rows."""
        found = []
        with connection.cursor() as cursor:
            cursor.execute(sql)
            while True:
                found.append(cursor.fetchall() if cursor.description else cursor.rowcount)
                if not cursor.nextset():
                    return found


def run(driver):
    """All steps, in order; later ones use tables of earlier ones."""
    connection = driver.connect()
    show("client", driver.module.paramstyle, driver.module.apilevel)
    for step in (types, given, many, transactions, large, errors, character_sets, procedures, session):
        step(driver, connection)
    connection.close()
    several(driver)
    local_files(driver)
    logins(driver)


def predict(driver):
    """Compares the labels that a statement gives."""
    connection = driver.connect()
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, ml.predict('apparel', photo) AS label FROM photos ORDER BY id")
        equal([column[0] for column in cursor.description], ["id", "label"])
        equal([label for (_, label) in cursor.fetchall()], EXPECT)
        sql = "SELECT id FROM photos WHERE ml.predict('apparel', photo) = %s AND id > %s ORDER BY id"
        cursor.execute(sql, (EXPECT[0], 0))
        equal([row[0] for row in cursor.fetchall()], [id for id, label in enumerate(EXPECT, 1) if label == EXPECT[0]])
    connection.close()
    predict_by_view(driver)


def predict_by_view(driver):
    """The same with an account that may read the view alone."""
    connection = driver.connect(user=f"{USER}_view")
    equal([row[0] for row in query(connection, "SELECT kind FROM seen ORDER BY id")], EXPECT)
    of_first = query(connection, "SELECT COUNT(*) FROM seen WHERE kind = %s", (EXPECT[0],))
    equal(of_first[0][0], EXPECT.count(EXPECT[0]))
    refused(driver, "the table behind the view", 1142, query, connection, "SELECT photo FROM photos")
    connection.close()


def query(connection, sql, values=None):
    """The rows of a statement."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall() if cursor.description else ()


def change(connection, sql, values=None):
    """Affected rows and insert id of a statement."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.rowcount, cursor.lastrowid


def refused(driver, step, code, call, *arguments):
    """Shows how a call fails; it must, with this code."""
    try:
        call(*arguments)
    except driver.errors() as error:
        equal(driver.code(error), code)
        show(step, *driver.facts(error))
    else:
        raise AssertionError(f"{step} was not refused")


def types(driver, connection):
    query(connection, "SET time_zone = '+00:00'")
    for statement in every_type_statements():
        show("every type, made", *change(connection, statement))
    connection.commit()
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM every_type ORDER BY id")
        rows = cursor.fetchall()
        names = [column[0] for column in cursor.description]
        for index, column in enumerate(cursor.description):
            show("type", column, [row[index] for row in rows])
    equal(len(rows), 5)
    equal(rows[0][names.index("c_varchar")], "grün 😀 'quoted' \"double\" \\ back")
    equal(rows[0][names.index("c_wide_decimal")], decimal.Decimal("12345678901234567890.123456789012345678901234567890"))
    equal(rows[0][names.index("c_datetime6")], datetime.datetime(2024, 2, 29, 23, 59, 58, 123456))
    check(all(cell is None for cell in rows[4][1:-1]), "a row of NULLs")
    sql = "SELECT 1/0, 1, 1.5, 1e3, 'a', x'00ff', NULL, NOW() > 0, CAST('1:02:03' AS TIME), COUNT(*) FROM every_type"
    with connection.cursor() as cursor:
        cursor.execute(sql)
        show("expressions", cursor.description, cursor.fetchall())


def given(driver, connection):
    query(connection, "CREATE TABLE given (id INT AUTO_INCREMENT PRIMARY KEY, n DOUBLE, s VARCHAR(100), b BLOB, d DATETIME(6), m DECIMAL(20,5))")
    moment = datetime.datetime(2024, 2, 29, 1, 2, 3, 456789)
    rows = [
        (1.5, "it's 😀 \\ \" ` % \0 \n \x1a", bytes(range(256)), moment, decimal.Decimal("-1.23450")),
        (None, None, None, None, None),
        (-7, "", b"", "2024-01-01", 3),
        (True, "grün", "as text", moment.date(), "9.99"),
    ]
    sql = "INSERT INTO given (n, s, b, d, m) VALUES (%s, %s, %s, %s, %s)"
    for row in rows:
        show("given", *change(connection, sql, row))
    named = "SELECT %(n)s + 0, %(s)s, %(n)s IS NULL"
    for values in ({"n": 1, "s": "x"}, {"n": None, "s": "%s"}):
        show("named", query(connection, named, values))
    found = query(connection, "SELECT * FROM given WHERE id > %s AND s NOT LIKE '%%y' OR s IS NULL ORDER BY id", (0,))
    for row in found:
        show("given", row)
    equal(found[0][3:5], (rows[0][2], moment))
    show("matched", change(connection, "UPDATE given SET n = 5 WHERE id = 1"))
    show("matched, the same", change(connection, "UPDATE given SET n = 5 WHERE id = 1"))
    show("replaced", change(connection, "REPLACE INTO given (id, n) VALUES (1, 2)"))
    show("upserted", change(connection, "INSERT INTO given (id) VALUES (1) ON DUPLICATE KEY UPDATE n = n + 1"))
    show("deleted", change(connection, "DELETE FROM given WHERE id IN (2, 3)"))
    show("returned", query(connection, "INSERT INTO given (n) VALUES (1), (2) RETURNING id, n"))


def many(driver, connection):
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE many (id INT AUTO_INCREMENT PRIMARY KEY, n INT, s VARCHAR(40))")
        cursor.executemany("INSERT INTO many (n, s) VALUES (%s, %s)", [(n, f"row {n}") for n in range(5000)])
        show("many", cursor.rowcount)
        connection.commit()
        cursor.executemany("UPDATE many SET s = %s WHERE id = %s", [("a", 1), (None, 2), ("c", -1)])
        show("many updates", cursor.rowcount)
        connection.commit()
        cursor.execute("SELECT COUNT(*), SUM(n), COUNT(s) FROM many")
        equal(cursor.fetchone(), (5000, 12497500, 4999))
        show("past the end", cursor.fetchone(), cursor.fetchall())
        cursor.execute("SELECT id FROM many ORDER BY id LIMIT 7")
        show("fetched", cursor.fetchmany(3), cursor.fetchone(), cursor.fetchall())


def transactions(driver, connection):
    query(connection, "CREATE TABLE account (id INT PRIMARY KEY, sum INT NOT NULL)")
    other = driver.connect()
    change(connection, "INSERT INTO account VALUES (1, 10), (2, 20)")
    show("before the commit", query(other, "SELECT * FROM account"))
    connection.commit()
    other.commit()
    show("after the commit", query(other, "SELECT * FROM account ORDER BY id"))
    change(connection, "UPDATE account SET sum = sum - 5 WHERE id = 1")
    query(connection, "SAVEPOINT a")
    change(connection, "DELETE FROM account")
    query(connection, "ROLLBACK TO SAVEPOINT a")
    query(connection, "RELEASE SAVEPOINT a")
    connection.commit()
    change(connection, "DELETE FROM account")
    connection.rollback()
    rows = query(connection, "SELECT * FROM account ORDER BY id")
    equal([tuple(row) for row in rows], [(1, 5), (2, 20)])
    query(connection, "SELECT * FROM account WHERE id = 1 FOR UPDATE")
    refused(driver, "locked", 1205, query, other, "SELECT * FROM account WHERE id = 1 FOR UPDATE NOWAIT")
    connection.rollback()
    query(connection, "START TRANSACTION READ ONLY")
    refused(driver, "read only", 1792, change, connection, "DELETE FROM account")
    connection.rollback()
    query(connection, "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE")
    show("isolation", query(connection, "SELECT @@tx_isolation, @@autocommit, @@in_transaction"))
    query(connection, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    connection.rollback()
    other.close()


def large(driver, connection):
    sql = f"SELECT seq, REPEAT('x', seq % 100) AS filling FROM seq_1_to_{LARGE_ROWS}"
    rows = query(connection, sql)
    equal((len(rows), sum(row[0] for row in rows)), (LARGE_ROWS, LARGE_ROWS * (LARGE_ROWS + 1) // 2))
    show("large", hashlib.sha256(repr([tuple(row) for row in rows]).encode()).hexdigest())
    cursor = driver.streaming(connection)
    cursor.execute(sql)
    count = total = 0
    while row := cursor.fetchone():
        count, total = count + 1, total + row[0]
    equal((count, total), (LARGE_ROWS, LARGE_ROWS * (LARGE_ROWS + 1) // 2))
    show("streamed", cursor.rowcount)
    cursor.close()
    query(connection, "CREATE TABLE large (id INT PRIMARY KEY, b LONGBLOB, t LONGTEXT)")
    data = bytes(range(256)) * (18 * MIB // 256)
    show("large value", *change(connection, "INSERT INTO large VALUES (1, %s, %s)", (data, "ü" * MIB)))
    connection.commit()
    [(found, text)] = query(connection, "SELECT b, t FROM large")
    check(bytes(found) == data and text == "ü" * MIB, "the large value is another")
    # Payloads around the greatest length of one packet.
    for size in (0xFFFFFF - 5, 0xFFFFFF - 4, 0xFFFFFF - 1, 0xFFFFFF, 0xFFFFFF + 1):
        [(found,)] = query(connection, f"SELECT REPEAT('a', {size}) AS a")
        equal(len(found), size)
        padding = size - len("SELECT LENGTH('') AS n") - 1
        show("long statement", query(connection, f"SELECT LENGTH('{'b' * padding}') AS n"))


def errors(driver, connection):
    query(connection, "CREATE TABLE wrong (id INT PRIMARY KEY, s VARCHAR(3) NOT NULL, u TINYINT UNSIGNED, UNIQUE KEY by_s (s), CHECK (u < 100))")
    query(connection, "CREATE TABLE child (id INT, FOREIGN KEY (id) REFERENCES wrong (id))")
    change(connection, "INSERT INTO wrong VALUES (1, 'a', 1)")
    connection.commit()
    for code, sql in (
        (1064, "SELEC 1"),
        (1146, "SELECT * FROM nowhere"),
        (1054, "SELECT nothing FROM wrong"),
        (1305, "SELECT no_such_function(1)"),
        (1062, "INSERT INTO wrong VALUES (1, 'b', 1)"),
        (1062, "INSERT INTO wrong VALUES (2, 'a', 1)"),
        (1406, "INSERT INTO wrong VALUES (3, 'long', 1)"),
        (1048, "INSERT INTO wrong VALUES (4, NULL, 1)"),
        (1364, "INSERT INTO wrong (id) VALUES (5)"),
        (1264, "INSERT INTO wrong VALUES (6, 'c', 256)"),
        (1366, "INSERT INTO wrong VALUES ('x', 'd', 1)"),
        (4025, "INSERT INTO wrong VALUES (7, 'e', 200)"),
        (1452, "INSERT INTO child VALUES (9)"),
        (1136, "INSERT INTO wrong VALUES (1)"),
        (1242, "SELECT (SELECT 1 UNION SELECT 2)"),
        (1044, "CREATE DATABASE elsewhere"),
        (1142, "SELECT * FROM mysql.global_priv"),
        (1227, "SET GLOBAL max_connections = 1"),
        (1193, "SET no_such_variable = 1"),
        (1644, "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'own grün 😀'"),
        (1969, "SET STATEMENT max_statement_time = 0.01 FOR SELECT SUM(seq % 7) FROM seq_1_to_1000000000"),
    ):
        refused(driver, sql, code, query, connection, sql)
        show("and then", query(connection, "SELECT 1"))
    connection.rollback()
    # A result that breaks off.
    refused(driver, "in mid-result", 1242, query, connection, "SELECT (SELECT 1 FROM seq_1_to_2 b WHERE b.seq + 4998 < a.seq) FROM seq_1_to_6000 a")
    show("and then", query(connection, "SELECT 2"))
    query(connection, "SET sql_mode = ''")
    show("with warnings", *change(connection, "INSERT INTO wrong VALUES (8, 'longer', '5x')"))
    show("warnings", query(connection, "SHOW WARNINGS"), query(connection, "SELECT @@warning_count"))
    connection.rollback()
    query(connection, "SET sql_mode = DEFAULT")


def character_sets(driver, connection):
    query(connection, "CREATE TABLE words (l VARCHAR(20) CHARACTER SET latin1, u VARCHAR(20) CHARACTER SET utf8mb4, b VARBINARY(40))")
    change(connection, "INSERT INTO words VALUES ('Müße', 'Müße 😀', 'Müße 😀')")
    connection.commit()
    show("by utf8mb4", query(connection, "SELECT l, u, HEX(l), HEX(u), HEX(b), COLLATION('x'), @@character_set_client FROM words"))
    other = driver.connect(charset="latin1")
    show("by latin1", query(other, "SELECT l, HEX(l), @@character_set_client, @@character_set_results FROM words WHERE l = %s", ("Müße",)))
    change(other, "INSERT INTO words (l, u) VALUES (%s, %s)", ("é", "é"))
    show("from latin1", query(other, "SELECT l, u, HEX(l), HEX(u) FROM words WHERE l = 'é'"))
    other.close()


def procedures(driver, connection):
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE PROCEDURE several(IN n INT, OUT doubled INT, INOUT text VARCHAR(50)) BEGIN "
            "SELECT n AS n, text AS t; SELECT seq FROM seq_1_to_3; SET doubled = n * 2, text = CONCAT(text, '!'); END"
        )
        cursor.execute("CREATE FUNCTION tripled(n INT) RETURNS INT DETERMINISTIC RETURN n * 3")
        cursor.execute("CREATE PROCEDURE failing() BEGIN SELECT 1 AS one; SIGNAL SQLSTATE '45001' SET MESSAGE_TEXT = 'late'; END")
        show("function", query(connection, "SELECT tripled(14)"))
        call_procedure(driver, connection)
    refused(driver, "late in a procedure", 1644, failing, connection)
    connection.rollback()


def call_procedure(driver, connection):
    """By callproc of the DB-API, whose results each driver gives in its own way."""
    with connection.cursor() as cursor:
        returned = cursor.callproc("several", (21, None, "wörd"))
        show("called", returned)
        if stored := getattr(cursor, "stored_results", None):
            for result in stored():
                show("its result", result.description, result.fetchall())
            return
        while True:
            show("its result", cursor.description, cursor.fetchall() if cursor.description else cursor.rowcount)
            if not cursor.nextset():
                break
    show("out", query(connection, "SELECT @_several_0, @_several_1, @_several_2"))


def failing(connection):
    with connection.cursor() as cursor:
        cursor.execute("CALL failing()")
        cursor.fetchall()
        while cursor.nextset():
            pass


def session(driver, connection):
    query(connection, "SET @own = 'kept', @n = 5")
    query(connection, "CREATE TEMPORARY TABLE brief (id INT AUTO_INCREMENT PRIMARY KEY)")
    change(connection, "INSERT INTO brief VALUES (), (), ()")
    show("session", query(connection, "SELECT @own, @n, LAST_INSERT_ID(), (SELECT COUNT(*) FROM brief), DATABASE(), CURRENT_USER()"))
    query(connection, "SELECT SQL_CALC_FOUND_ROWS seq FROM seq_1_to_20 LIMIT 3")
    show("found", query(connection, "SELECT FOUND_ROWS()"))
    query(connection, f"CREATE DATABASE {DATABASE}_second")
    query(connection, f"USE {DATABASE}_second")
    show("database", query(connection, "SELECT DATABASE()"))
    refused(driver, "not here", 1146, query, connection, "SELECT * FROM every_type")
    query(connection, f"USE {DATABASE}")
    query(connection, f"DROP DATABASE {DATABASE}_second")
    query(connection, "PREPARE p FROM 'SELECT ? + ?, ?'")
    query(connection, "SET @a = 1, @b = 2.5, @c = 'x'")
    show("prepared by SQL", query(connection, "EXECUTE p USING @a, @b, @c"), query(connection, "EXECUTE p USING @c, @a, @b"))
    query(connection, "DEALLOCATE PREPARE p")
    show("locks", query(connection, "SELECT GET_LOCK('suite', 0), IS_FREE_LOCK('suite'), RELEASE_LOCK('suite')"))
    for sql in (
        "SHOW FULL COLUMNS FROM every_type",
        "SHOW CREATE TABLE given",
        "SHOW FULL TABLES",
        "SHOW GRANTS",
        "EXPLAIN SELECT * FROM every_type WHERE c_bigint = 1",
        "CHECK TABLE given",
        "SHOW COLLATION LIKE 'utf8mb4_b%'",
        "SHOW VARIABLES LIKE 'version%'",
    ):
        rows = query(connection, sql)
        check(rows, sql)
        # The order of grants depends on other accounts.
        show(sql, sorted(rows) if sql == "SHOW GRANTS" else rows)


def several(driver):
    connection = driver.connect(**driver.multi_options())
    sql = "SELECT 1 AS a; CREATE TABLE several_made (id INT); INSERT INTO several_made VALUES (1), (2); SELECT * FROM several_made; SELECT 'é' AS e"
    show("several", driver.run_several(connection, sql))
    connection.commit()
    refused(driver, "the second is wrong", 1146, driver.run_several, connection, "SELECT 1; SELECT * FROM nowhere; SELECT 3")
    connection.close()


def local_files(driver):
    path = pathlib.Path("rows.csv")
    path.write_text("".join(f"{n},line {n} grün\n" for n in range(20_000)), encoding="utf-8")
    pathlib.Path("empty.csv").write_bytes(b"")
    connection = driver.connect(local_infile=True)
    query(connection, "CREATE TABLE loaded (n INT PRIMARY KEY, s VARCHAR(50))")
    sql = "LOAD DATA LOCAL INFILE '{}' INTO TABLE loaded CHARACTER SET utf8mb4 FIELDS TERMINATED BY ','"
    show("loaded", *change(connection, sql.format("rows.csv")))
    show("loaded again", *change(connection, sql.format("rows.csv")))
    show("loaded nothing", *change(connection, sql.format("empty.csv")))
    connection.commit()
    equal([tuple(row) for row in query(connection, "SELECT COUNT(*), SUM(n), MAX(s) FROM loaded")], [(20000, 199990000, "line 9999 grün")])
    connection.close()


def logins(driver):
    refused(driver, "a wrong password", 1045, lambda: driver.connect(password="wrong"))
    refused(driver, "an unknown user", 1045, lambda: driver.connect(user=f"{USER}_none"))
    refused(driver, "a foreign database", 1044, lambda: driver.connect(database="mysql"))
    refused(driver, "no such database", 1049, lambda: driver.connect(database=f"{DATABASE}_none"))
    for _ in range(30):
        driver.connect().close()
