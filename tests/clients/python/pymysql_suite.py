"""PyMySQL."""

import pymysql

from transcript import DATABASE, EXPECT, HOST, PASSWORD, PORT, PREDICT, USER, equal, show


def connect(**options):
    return pymysql.connect(host=HOST, port=PORT, user=USER, password=PASSWORD, database=DATABASE, **options)


def main():
    connection = connect()
    with connection.cursor() as cursor:
        if PREDICT:
            cursor.execute("SELECT ml.predict('apparel', photo) FROM photos ORDER BY id")
            equal([label for (label,) in cursor.fetchall()], EXPECT)
            return
        cursor.execute("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(30))")
        cursor.executemany("INSERT INTO t (name) VALUES (%s)", [("Ada",), (None,)])
        show("inserted", cursor.rowcount, cursor.lastrowid)
        connection.commit()
        cursor.execute("SELECT * FROM t ORDER BY id")
        show("columns", cursor.description)
        rows = cursor.fetchall()
        show("rows", rows)
        equal(rows, ((1, "Ada"), (2, None)))


main()
