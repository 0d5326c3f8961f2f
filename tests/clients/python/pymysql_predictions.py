"""Predictions as a program with PyMySQL asks for them. Usage: pymysql_predictions.py PORT DATABASE PHOTO ROOT

DATABASE has the tables of the shop; PHOTO is an ankle boot below the image root ROOT. Ends with 0 and "passed" if all is well.
"""

import sys
import warnings

import pymysql
import pymysql.cursors

PORT, DATABASE, PHOTO, ROOT = int(sys.argv[1]), *sys.argv[2:5]


def connect(**options):
    return pymysql.connect(host="127.0.0.1", port=PORT, user="root", database=DATABASE, **options)


def fails(code, call, *arguments):
    try:
        call(*arguments)
    except pymysql.MySQLError as error:
        assert error.args[0] == code, (code, error)
        return error.args[1]
    raise AssertionError(f"{arguments} did not fail with {code}")


def predictions(connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, ml.predict('apparel', photo) FROM products WHERE id <= %s ORDER BY id", (20,))
        rows = cursor.fetchall()
        assert len(rows) == 20 and rows[0] == (1, "Ankle boot"), rows
        assert cursor.description[1][0] == "ml.predict('apparel', photo)", cursor.description
        cursor.execute(
            "SELECT p.id FROM products p JOIN truth t ON t.id = p.id "
            "WHERE ml.predict('apparel', p.photo) = %s AND t.label = %s ORDER BY p.id LIMIT 5",
            ("Sandal", "Sandal"),
        )
        assert len(cursor.fetchall()) == 5
        # Formatted into the statement, so that a call has constant arguments.
        cursor.execute("SELECT ml.predict('apparel', %s) AS c, ml.predict_proba('apparel', 'Ankle boot', %s) AS p", (PHOTO, PHOTO))
        label, score = cursor.fetchone()
        assert label == "Ankle boot" and 0.5 < score <= 1, (label, score)
        with open(f"{ROOT}/{PHOTO}", "rb") as file:
            photo = file.read()
        cursor.execute(f"SELECT ml.apparel(x'{photo.hex()}')")
        assert cursor.fetchone() == ("Ankle boot",)
        # Formatted as _binary'...' with the bytes as they are, so that the statement is not UTF-8.
        cursor.execute("SELECT 'caf\u00e9', ml.apparel(%s) AS c, 2", (photo,))
        assert cursor.fetchone() == ("caf\u00e9", "Ankle boot", 2)
        assert [column[0] for column in cursor.description] == ["caf\u00e9", "c", "2"], cursor.description
        cursor.execute("SELECT id FROM products WHERE ml.apparel(photo) = 'Bag' AND 1 = 0")
        assert cursor.fetchall() == ()
    with connection.cursor(pymysql.cursors.SSDictCursor) as cursor:
        cursor.execute("SELECT id, ml.apparel(photo) AS class FROM products ORDER BY id")
        first = cursor.fetchone()
        assert first == {"id": 1, "class": "Ankle boot"}, first
        assert len(cursor.fetchall()) == 599


def errors_and_warnings(connection):
    with connection.cursor() as cursor:
        fails(1054, cursor.execute, "SELECT ml.predict('apparel', nothing) FROM products")
        message = fails(1235, cursor.execute, "CREATE PROCEDURE made() SELECT ml.apparel(photo) FROM products")
        assert "CREATE" in message, message
        cursor.execute("SELECT ml.apparel('photos/nowhere.png')")
        assert cursor.fetchone() == (None,)
        shown = connection.show_warnings()
        assert len(shown) == 1 and "photos/nowhere.png" in shown[0][2], shown
        cursor.execute("SELECT 'still usable'")
        assert cursor.fetchone() == ("still usable",)


def main():
    warnings.simplefilter("error")
    for part in (predictions, errors_and_warnings):
        connection = connect()
        part(connection)
        connection.close()
    print("passed")


if __name__ == "__main__":
    main()
