"""mysqlclient (MySQLdb), over libmariadb: with its own calls for users, databases, pings, and compression."""

import MySQLdb
import MySQLdb.constants.CLIENT
import MySQLdb.cursors

import dbapi
from transcript import DATABASE, HOST, PASSWORD, PORT, PREDICT, TLS_CA, USER, check, equal, show


class MySqlClient(dbapi.Driver):
    def connect(self, **options):
        tls = {"ssl_mode": "VERIFY_IDENTITY", "ssl": {"ca": TLS_CA}} if TLS_CA else {}
        own = {"host": HOST, "port": PORT, "user": USER, "password": PASSWORD, "database": DATABASE, "charset": "utf8mb4"}
        return self.module.connect(**(own | tls | options))

    def streaming(self, connection):
        return connection.cursor(MySQLdb.cursors.SSCursor)


def own(driver):
    # The store or the proxy may not compress; it works either way.
    connection = driver.connect(compress=True, cursorclass=MySQLdb.cursors.DictCursor, init_command="SET @began = 'so'")
    show("as dictionaries", dbapi.query(connection, "SELECT id, c_varchar, @began AS began FROM every_type WHERE id < 3 ORDER BY id"))
    connection.ping()
    dbapi.refused(driver, "empty", 1065, dbapi.query, connection, "")
    connection.select_db(DATABASE)
    show("server", connection.get_server_info(), connection.get_proto_info(), connection.character_set_name())
    check("Threads" in connection.stat(), "statistics")
    change(connection)
    connection.close()
    wire(driver)


def change(connection):
    """Another login in the same session, which loses its state; and a text of several statements switched off and on."""
    dbapi.query(connection, "SET @kept = 1")
    connection.change_user(USER, PASSWORD, DATABASE)
    show("after a change of user", dbapi.query(connection, "SELECT @kept AS kept, DATABASE() AS d"))
    connection.set_server_option(MySQLdb.constants.CLIENT.MULTI_STATEMENTS and 1)
    try:
        dbapi.query(connection, "SELECT 1 AS a; SELECT 2 AS b")
    except MySQLdb.Error as error:
        show("several are refused", *error.args)
    connection.set_server_option(0)
    connection.query("SELECT 1 AS a; SELECT 2 AS b")
    show("several, the first", connection.store_result().fetch_row(0))
    show("more", connection.next_result(), connection.use_result().fetch_row(0, 1), connection.next_result())


def wire(driver):
    """The level below the DB-API: info texts, flags, fields as they came."""
    connection = driver.connect()
    connection.query("INSERT INTO given (n) VALUES (1), (2)")
    show("info", connection.info(), connection.affected_rows(), connection.insert_id(), connection.warning_count())
    connection.query("UPDATE given SET n = n + 1")
    show("info", connection.info(), connection.affected_rows(), connection.insert_id(), connection.warning_count())
    connection.query("SELECT * FROM every_type")
    result = connection.store_result()
    show("fields", result.describe(), result.field_flags(), result.num_rows())
    connection.rollback()
    cursor = connection.cursor(MySQLdb.cursors.SSDictCursor)
    cursor.execute("SELECT seq, REPEAT('y', 1000) AS filling FROM seq_1_to_50000")
    equal([cursor.fetchone()["seq"] for _ in range(3)], [1, 2, 3])
    cursor.close()
    show("after an abandoned result", dbapi.query(connection, "SELECT 1"))
    connection.autocommit(True)
    show("autocommit", connection.get_autocommit(), dbapi.query(connection, "SELECT @@autocommit"))
    connection.close()


def main():
    driver = MySqlClient(MySQLdb)
    if PREDICT:
        dbapi.predict(driver)
        return
    dbapi.run(driver)
    own(driver)


main()
