"""What Python's drivers do at the admin endpoint by themselves and for their users: connecting with their usual settings, texts,
prepared statements, pings, resets, transactions. Prints a line a step; ends with another code than 0 where an answer is wrong.

usage: drivers.py DRIVER..., of pymysql, mysqlclient, connector_pure, connector_c, sqlalchemy
Environment: ADMIN_HOST, ADMIN_PORT, ADMIN_PASSWORD
"""
import os
import sys

HOST, PORT = os.environ["ADMIN_HOST"], int(os.environ["ADMIN_PORT"])
PASSWORD = os.environ["ADMIN_PASSWORD"]
HOW = {"host": HOST, "port": PORT, "user": "admin", "password": PASSWORD}

ASKED = {
    "SELECT 1": ((1,),),
    "SELECT @@max_allowed_packet, @@autocommit AS a": ((1 << 20, 1),),
    "/* who */ select DATABASE(), USER() limit 1": None,
    "SHOW VARIABLES LIKE 'autocommit'": (("autocommit", "ON"),),
    "SHOW VARIABLES WHERE Variable_name IN ('version_comment') OR Value = 'no such'": (
        ("version_comment", "PredictSQL admin endpoint"),
    ),
    "SHOW SESSION STATUS LIKE 'Ssl_cipher'": (("Ssl_cipher", ""),),
    "SHOW WARNINGS": (),
    "SHOW DATABASES": (("admin",),),
    "SHOW SESSIONS": (),
    "SHOW CONFIG LIKE 'admin.password'": (("admin.password", "(set)"),),
}

# What other drivers and tools send when they connect: mysql_async, Connector/J 5.1 and 8, MariaDB Connector/J 2.7, Connector/NET,
# ODBC, sqlx, Django, Workbench, HeidiSQL, DBeaver, HikariCP, mysql --safe-updates.
FIRST = [
    "SELECT @@max_allowed_packet,@@wait_timeout",
    "/* mysql-connector-java-5.1.49 */SHOW VARIABLES WHERE Variable_name ='language' OR Variable_name = 'net_write_timeout' "
    "OR Variable_name = 'interactive_timeout' OR Variable_name = 'wait_timeout' OR Variable_name = 'init_connect'",
    "/* mysql-connector-j-8.3.0 */SELECT  @@session.auto_increment_increment AS auto_increment_increment, "
    "@@character_set_client AS character_set_client, @@character_set_connection AS character_set_connection, "
    "@@character_set_results AS character_set_results, @@character_set_server AS character_set_server, "
    "@@collation_server AS collation_server, @@collation_connection AS collation_connection, @@init_connect AS init_connect, "
    "@@interactive_timeout AS interactive_timeout, @@license AS license, @@lower_case_table_names AS lower_case_table_names, "
    "@@max_allowed_packet AS max_allowed_packet, @@net_write_timeout AS net_write_timeout, "
    "@@performance_schema AS performance_schema, @@query_cache_size AS query_cache_size, @@query_cache_type AS query_cache_type, "
    "@@sql_mode AS sql_mode, @@system_time_zone AS system_time_zone, @@time_zone AS time_zone, "
    "@@transaction_isolation AS transaction_isolation, @@tx_isolation AS tx_isolation, @@wait_timeout AS wait_timeout",
    "SHOW WARNINGS LIMIT 1000",
    "SET character_set_results = NULL",
    "select @@session.transaction_read_only",
    "set autocommit=1, session_track_schema=1 , sql_mode = concat(@@sql_mode,',STRICT_TRANS_TABLES')",
    "SELECT TIMEDIFF(NOW(), UTC_TIMESTAMP())",
    "SET SQL_AUTO_IS_NULL = 0",
    "SET sql_mode=(SELECT CONCAT(@@sql_mode, ',PIPES_AS_CONCAT,NO_ENGINE_SUBSTITUTION')),time_zone='+00:00',"
    "NAMES utf8mb4 COLLATE utf8mb4_unicode_ci;",
    "SELECT VERSION(), @@sql_mode, @@default_storage_engine, @@sql_auto_is_null, @@lower_case_table_names, "
    "CONVERT_TZ('2001-01-01 01:00:00', 'UTC', 'UTC') IS NOT NULL",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "SHOW SESSION VARIABLES LIKE 'lower_case_table_names'",
    "SHOW GLOBAL STATUS",
    "SHOW /*!50002 GLOBAL */ STATUS LIKE 'Com_stmt_close';",
    "/*!40101 SET NAMES utf8mb4 */",
    "/* ApplicationName=DBeaver 24 - Main */ SELECT DATABASE()",
    "SELECT @@GLOBAL.character_set_server,@@GLOBAL.collation_server",
    "SHOW PLUGINS",
    "SHOW ENGINES",
    "SHOW CHARSET",
    "SHOW COLLATION",
    "SHOW FULL TABLES FROM `admin` LIKE '%'",
    "SHOW FULL PROCESSLIST",
    "/* ping */ SELECT 1",
    "SET SQL_SAFE_UPDATES=1,SQL_SELECT_LIMIT=1000,MAX_JOIN_SIZE=1000000",
    "-- comment\nselect CURRENT_USER # and more\n",
    "use other",
    "START TRANSACTION READ ONLY",
    "ROLLBACK",
]


def texts(cursor):
    for sql, expected in ASKED.items():
        cursor.execute(sql)
        rows = tuple(tuple(row) for row in cursor.fetchall())
        assert expected is None or rows == expected, (sql, rows)


def refusals(cursor, error):
    for sql, code in {
        "DROP TABLE users": 1064,
        "SELECT @@no_such": 1193,
        "KILL SESSION 4000000000": 1094,
        "SET GLOBAL max_connections = 1": 1235,
    }.items():
        try:
            cursor.execute(sql)
        except error as wrong:
            assert wrong.args[0] == code, (sql, wrong.args)
        else:
            raise AssertionError(f"{sql} is answered")


def pymysql():
    import pymysql

    for more in (
        {},
        {"autocommit": True},
        {"database": "any", "charset": "utf8mb4", "collation": "utf8mb4_unicode_ci"},
        {"init_command": "SET time_zone = '+00:00'", "sql_mode": "ANSI"},
    ):
        connection = pymysql.connect(**HOW, **more)
        with connection.cursor() as cursor:
            cursor.execute("SELECT DATABASE()")
            assert cursor.fetchone() == (more.get("database"),)
            texts(cursor)
            refusals(cursor, pymysql.err.Error)
            for sql in FIRST:
                cursor.execute(sql)
                cursor.fetchall()
        assert connection.get_autocommit() is True
        connection.begin()
        connection.commit()
        connection.rollback()
        connection.select_db("admin")
        connection.ping(reconnect=False)
        connection.close()
    try:
        pymysql.connect(**{**HOW, "password": "wrong"})
    except pymysql.err.OperationalError as wrong:
        assert wrong.args[0] == 1045, wrong.args
    else:
        raise AssertionError("a wrong password is let in")


def mysqlclient():
    import MySQLdb

    connection = MySQLdb.connect(**HOW, database="admin", charset="utf8mb4", autocommit=True)
    cursor = connection.cursor()
    texts(cursor)
    refusals(cursor, MySQLdb.Error)
    connection.ping()
    assert "Uptime" in connection.stat()
    connection.close()


def connector(pure):
    import mysql.connector

    connection = mysql.connector.connect(**HOW, use_pure=pure, database="admin", autocommit=False)
    cursor = connection.cursor()
    texts(cursor)
    refusals(cursor, mysql.connector.Error)
    connection.start_transaction(isolation_level="READ COMMITTED")
    connection.commit()
    prepared = connection.cursor(prepared=True)
    prepared.execute("SELECT 2, @@version_comment, NULL, 1.5")
    assert prepared.fetchall() == [(2, "PredictSQL admin endpoint", None, 1.5)]
    prepared.execute("SHOW VARIABLES WHERE Variable_name = ?", ("license",))
    assert prepared.fetchall() == [("license", "Apache-2.0")]
    prepared.close()
    connection.ping()
    connection.reset_session()
    connection.cmd_init_db("admin")
    connection.close()
    # What clients of MySQL 9 have; the other plugin is gone from them.
    sha2 = {**HOW, "use_pure": pure, "auth_plugin": "caching_sha2_password"}
    connection = mysql.connector.connect(**sha2)
    connection.ping()
    connection.close()
    try:
        mysql.connector.connect(**{**sha2, "password": "wrong"})
    except mysql.connector.Error as wrong:
        assert wrong.errno == 1045, wrong
    else:
        raise AssertionError("a wrong password is let in")


def connector_pure():
    connector(True)


def connector_c():
    connector(False)


def sqlalchemy():
    import sqlalchemy

    for driver in ("pymysql", "mysqldb", "mysqlconnector"):
        url = sqlalchemy.URL.create(f"mysql+{driver}", "admin", PASSWORD, HOST, PORT, "admin")
        engine = sqlalchemy.create_engine(url, pool_pre_ping=True, isolation_level="AUTOCOMMIT")
        for _ in range(2):
            with engine.connect() as connection:
                assert connection.exec_driver_sql("SELECT 1").scalar() == 1
                assert list(connection.exec_driver_sql("SHOW SESSIONS")) == []
        assert sqlalchemy.inspect(engine).get_table_names() == []
        engine.dispose()


for name in sys.argv[1:]:
    globals()[name]()
    print(name)
