"""PyMySQL, with what it has beyond the DB-API: cursors of dictionaries, ping, its own view of the server."""

import pymysql
import pymysql.constants.CLIENT
import pymysql.cursors

import dbapi
from transcript import DATABASE, HOST, PASSWORD, PORT, PREDICT, TLS_CA, USER, equal, show


class PyMySql(dbapi.Driver):
    def connect(self, **options):
        tls = {"ssl": {"ca": TLS_CA}} if TLS_CA else {}
        own = {"host": HOST, "port": PORT, "user": USER, "password": PASSWORD, "database": DATABASE}
        return self.module.connect(**(own | tls | options))

    def streaming(self, connection):
        return connection.cursor(pymysql.cursors.SSCursor)

    def multi_options(self):
        return {"client_flag": pymysql.constants.CLIENT.MULTI_STATEMENTS}


def own(driver):
    connection = driver.connect(cursorclass=pymysql.cursors.DictCursor, init_command="SET @began = 'so'")
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, c_varchar, @began AS began FROM every_type WHERE id < 3 ORDER BY id")
        show("as dictionaries", cursor.fetchall())
        cursor.scroll(0, mode="absolute")
        show("scrolled", cursor.fetchone())
        show("escaped", cursor.mogrify("SELECT %s, %s", ("it's", None)), connection.escape("a'b\\c"))
    show("server", connection.get_server_info(), connection.get_proto_info(), connection.character_set_name())
    connection.ping(reconnect=False)
    dbapi.refused(driver, "empty", 1065, dbapi.query, connection, "")
    connection.select_db(DATABASE)
    connection.autocommit(True)
    show("autocommit", connection.get_autocommit(), dbapi.query(connection, "SELECT @@autocommit AS a"))
    connection.set_character_set("utf8mb4", "utf8mb4_bin")
    show("collation", dbapi.query(connection, "SELECT COLLATION('x') AS c, @@collation_connection AS d"))
    # A result that is not read to its end: the cursor's close reads the rest.
    cursor = connection.cursor(pymysql.cursors.SSDictCursor)
    cursor.execute("SELECT seq, REPEAT('y', 1000) AS filling FROM seq_1_to_50000")
    equal([cursor.fetchone()["seq"] for _ in range(3)], [1, 2, 3])
    cursor.close()
    show("after an abandoned result", dbapi.query(connection, "SELECT 1 AS one"))
    connection.close()


def main():
    driver = PyMySql(pymysql)
    if PREDICT:
        dbapi.predict(driver)
        return
    dbapi.run(driver)
    own(driver)


main()
