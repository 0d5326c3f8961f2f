"""MySQL Connector/Python, usage: connector_suite.py pure|c (its own protocol code, or its C library)."""

import datetime
import decimal
import hashlib
import sys

import mysql.connector

import dbapi
from transcript import DATABASE, EXPECT, HOST, PASSWORD, PORT, PREDICT, TLS_CA, USER, check, equal, show


class Connector(dbapi.Driver):
    def connect(self, **options):
        if options.pop("local_infile", False):
            options["allow_local_infile"] = True
        tls = {"ssl_ca": TLS_CA, "ssl_verify_cert": True, "ssl_verify_identity": True} if TLS_CA else {"ssl_disabled": True}
        own = {"host": HOST, "port": PORT, "user": USER, "password": PASSWORD, "database": DATABASE}
        return self.module.connect(use_pure=sys.argv[1] == "pure", **(own | tls | options))

    def errors(self):
        library = sys.modules.get("_mysql_connector")
        return (self.module.Error, library.MySQLInterfaceError) if library else self.module.Error

    def streaming(self, connection):
        return connection.cursor()

    def code(self, error):
        return error.errno

    def facts(self, error):
        return type(error).__name__, error.errno, error.sqlstate, error.msg


def prepared(driver):
    connection = driver.connect()
    cursor = connection.cursor(prepared=True)
    # The pure driver cannot read a YEAR in binary form.
    names = [row[0] for row in dbapi.query(connection, "SHOW COLUMNS FROM every_type") if row[0] != "c_year"]
    cursor.execute(f"SELECT {', '.join(names)} FROM every_type ORDER BY id")
    rows = cursor.fetchall()
    for index, column in enumerate(cursor.description):
        show("binary", column, [row[index] for row in rows])
    again(cursor)
    cursor.execute("CREATE TABLE IF NOT EXISTS prepared (id INT AUTO_INCREMENT PRIMARY KEY, n DOUBLE, s LONGTEXT, b LONGBLOB)")
    cursor.executemany("INSERT INTO prepared (n, s, b) VALUES (%s, %s, %s)", [(1, "a", b"\0"), (2.5, None, b""), (None, "ü😀", None)])
    show("many", cursor.rowcount, cursor.lastrowid)
    data = bytes(range(256)) * (17 * dbapi.MIB // 256)
    cursor.execute("INSERT INTO prepared (n, s, b) VALUES (?, ?, ?)", (9, "large", data))
    # The pure driver cannot read a binary row of several packets.
    cursor.execute("SELECT MD5(b), LEFT(b, 15 << 20) FROM prepared WHERE n = ?", (9,))
    [(digest, found)] = cursor.fetchall()
    equal(digest, hashlib.md5(data).hexdigest())
    check(bytes(found) == data[: 15 << 20], "the large value is another")
    cursor.execute("SELECT seq FROM seq_1_to_100000 WHERE seq > ?", (10,))
    equal(sum(row[0] for row in cursor), 5000050000 - 55)
    for code, sql, values in (
        (1064, "SELEC ?", (1,)),
        (1146, "SELECT * FROM nowhere WHERE id = ?", (1,)),
        (1062, "INSERT INTO prepared (id) VALUES (?)", (1,)),
        (1366, "INSERT INTO prepared (n) VALUES (?)", ("no number",)),
    ):
        dbapi.refused(driver, f"prepared, {sql}", code, fetch, cursor, sql, values)
    connection.rollback()
    cursor.close()
    connection.close()


def fetch(cursor, sql, values):
    cursor.execute(sql, values)
    return cursor.fetchall()


def again(cursor):
    """One statement, executed with values of other types."""
    sql = "SELECT ? AS a, CONCAT(?, '!') AS b, ? IS NULL AS c"
    moment = datetime.datetime(2024, 2, 29, 1, 2, 3, 456789)
    for values in (
        (1, "x", None),
        ("text", 2, 3),
        (None, None, None),
        (b"bytes\0", decimal.Decimal("1.50"), moment),
        (moment, moment.date(), moment.time()),
        (-(1 << 63), (1 << 63) - 1, 1e300),
        ("ü" * 70_000, "y", True),
    ):
        cursor.execute(sql, values)
        show("again", cursor.description, cursor.fetchall())


def own(driver):
    connection = driver.connect(time_zone="+00:00", sql_mode="ANSI_QUOTES,STRICT_ALL_TABLES", autocommit=True)
    show("options", dbapi.query(connection, 'SELECT @@time_zone, @@sql_mode, @@autocommit AS "quoted"'))
    for options in ({"dictionary": True}, {"raw": True}, {"buffered": True}):
        cursor = connection.cursor(**options)
        cursor.execute("SELECT id, c_varchar, c_date FROM every_type ORDER BY id LIMIT 2")
        show(f"cursor {options}", cursor.fetchall())
        cursor.close()
    connection.ping()
    check(connection.cmd_statistics(), "statistics")
    show("server", connection.server_info, connection.server_version)
    connection.cmd_init_db(DATABASE)
    connection.get_warnings = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1/0, CAST('x' AS INT)")
        show("warnings", cursor.fetchall(), cursor.warnings)
    lost(driver, connection)
    connection.close()


def lost(driver, connection):
    """Resets, which lose the session's state."""
    resets = (
        ("reset", connection.cmd_reset_connection),
        ("reset session", lambda: connection.reset_session({"kept": 7}, {"lock_wait_timeout": 3})),
        ("change of user", lambda: connection.cmd_change_user(USER, PASSWORD, DATABASE)),
    )
    for name, reset in resets:
        dbapi.query(connection, "SET @kept = 1, @@lock_wait_timeout = 5")
        dbapi.query(connection, "CREATE TEMPORARY TABLE passing (id INT)")
        reset()
        show(name, dbapi.query(connection, "SELECT @kept, @@lock_wait_timeout = 5, DATABASE()"))
        dbapi.refused(driver, f"{name}, a table that is gone", 1146, dbapi.query, connection, "SELECT * FROM passing")
    dbapi.refused(driver, "change with a wrong password", 1045, connection.cmd_change_user, USER, "wrong", DATABASE)


def predict(driver):
    dbapi.predict(driver)
    connection = driver.connect()
    cursor = connection.cursor(prepared=True)
    sql = "SELECT ml.predict('apparel', photo) FROM photos WHERE id <= ? ORDER BY id"
    for count in (len(EXPECT), 3):
        cursor.execute(sql, (count,))
        equal([label for (label,) in cursor.fetchall()], EXPECT[:count])
    connection.close()


def main():
    driver = Connector(mysql.connector)
    if PREDICT:
        predict(driver)
        return
    dbapi.run(driver)
    prepared(driver)
    own(driver)


main()
