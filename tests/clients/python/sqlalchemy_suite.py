"""SQLAlchemy, usage: sqlalchemy_suite.py DRIVER...: tables of all its types made and reflected, its ORM, its transactions."""

import datetime
import decimal
import enum
import re
import sys
import uuid
from typing import Optional

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import mysql

from transcript import DATABASE, EXPECT, HOST, PASSWORD, PORT, PREDICT, TLS_CA, USER, check, equal, every_type_statements, show


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


class Base(orm.DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"
    __table_args__ = {"comment": "who writes", "mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(40), unique=True)
    books: orm.Mapped[list["Book"]] = orm.relationship(back_populates="author", order_by="Book.id", cascade="all, delete-orphan")


class Book(Base):
    __tablename__ = "book"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    author_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("author.id", ondelete="CASCADE"))
    title: orm.Mapped[str] = orm.mapped_column(sa.String(60), index=True)
    price: orm.Mapped[decimal.Decimal] = orm.mapped_column(sa.Numeric(8, 2), server_default="1.50")
    weight: orm.Mapped[Optional[float]] = orm.mapped_column(sa.Double)
    size: orm.Mapped[Optional[Size]]
    told: orm.Mapped[Optional[dict]] = orm.mapped_column(sa.JSON)
    cover: orm.Mapped[Optional[bytes]] = orm.mapped_column(sa.LargeBinary)
    printed: orm.Mapped[Optional[datetime.date]]
    at: orm.Mapped[Optional[datetime.datetime]] = orm.mapped_column(mysql.DATETIME(fsp=6))
    long: orm.Mapped[Optional[datetime.time]]
    read: orm.Mapped[Optional[bool]]
    mark: orm.Mapped[Optional[uuid.UUID]]
    text: orm.Mapped[Optional[str]] = orm.mapped_column(sa.Text)
    doubled: orm.Mapped[Optional[decimal.Decimal]] = orm.mapped_column(sa.Numeric(9, 2), sa.Computed("price * 2", persisted=True))
    author: orm.Mapped[Author] = orm.relationship(back_populates="books")
    __table_args__ = (sa.CheckConstraint("price >= 0", name="no_debt"), sa.Index("by_two", "author_id", "printed"))


def engine(driver, **options):
    tls = {"ssl": {"ca": TLS_CA}} if TLS_CA else {}
    url = sa.URL.create(f"mariadb+{driver}", USER, PASSWORD, HOST, PORT, DATABASE, {"charset": "utf8mb4"})
    return sa.create_engine(url, connect_args=tls, **options)


def types(made):
    """A table of every type as the store describes it to SQLAlchemy; a copy of it by SQLAlchemy is described alike."""
    with made.begin() as connection:
        connection.exec_driver_sql("SET time_zone = '+00:00'")
        for statement in every_type_statements():
            connection.exec_driver_sql(statement.replace("%", "%%"))
    reflected = sa.MetaData()
    reflected.reflect(made)
    table = reflected.tables["every_type"]
    for column in table.columns:
        show("reflected", re.sub(r" at 0x[0-9a-f]+", "", repr(column)))
    inspect(made)
    with made.connect() as connection:
        rows = connection.execute(sa.select(table).order_by(table.c.id)).all()
    for row in rows:
        show("row", tuple(row))
    equal([row.id for row in rows], [1, 2, 3, 4, 7])
    equal(rows[0].c_wide_decimal, decimal.Decimal("12345678901234567890.123456789012345678901234567890"))
    # It has no names for INET6 and geometries.
    known = [column.copy() for column in table.columns if not isinstance(column.type, sa.types.NullType)]
    check(len(known) > 45, len(known))
    sa.Table("every_type_copy", sa.MetaData(), *known).create(made)
    described = sa.inspect(made)
    copied, own = ({column["name"]: repr(column) for column in described.get_columns(name)} for name in ("every_type_copy", "every_type"))
    equal(copied, {name: own[name] for name in copied})


def inspect(made):
    inspector = sa.inspect(made)
    show("tables", inspector.get_table_names(), inspector.get_view_names(), inspector.default_schema_name)
    for name in inspector.get_table_names():
        for column in inspector.get_columns(name):
            show("column", name, column)
        show("keys", inspector.get_pk_constraint(name), inspector.get_foreign_keys(name), inspector.get_indexes(name))
        show("constraints", inspector.get_unique_constraints(name), inspector.get_check_constraints(name))
        show("table", inspector.get_table_comment(name), inspector.get_table_options(name))
    for name in inspector.get_view_names():
        show("view", inspector.get_view_definition(name))
    show("has", inspector.has_table("author"), inspector.has_table("nowhere"))


def mapped(made):
    Base.metadata.create_all(made)
    Base.metadata.create_all(made)
    with orm.Session(made) as session:
        ada = Author(name="Ada 😀")
        for n in range(50):
            ada.books.append(Book(title=f"book {n}", price=n, weight=n / 3, size=Size.SMALL, told={"n": n, "ü": [None]}))
        ada.books[0].cover = bytes(range(256))
        ada.books[0].printed = datetime.date(2024, 2, 29)
        ada.books[0].at = datetime.datetime(2024, 2, 29, 1, 2, 3, 456789)
        ada.books[0].long = datetime.time(1, 2, 3)
        ada.books[0].read = True
        ada.books[0].mark = uuid.UUID(int=7)
        ada.books[0].text = "ü" * 30000
        session.add_all([ada, Author(name="Bö")])
        session.commit()
        show("ids", [book.id for book in ada.books])
    with orm.Session(made) as session:
        [author] = session.scalars(sa.select(Author).where(Author.books.any(Book.title == "book 3")))
        first = author.books[0]
        show("loaded", first.price, first.doubled, first.size, first.told, first.cover, first.printed, first.at, first.long)
        equal((first.at.microsecond, first.read, first.mark, len(first.text)), (456789, True, uuid.UUID(int=7), 30000))
        del author.books[1]
        first.title = "changed"
        session.flush()
        show("found", session.execute(sa.select(sa.func.count(), sa.func.max(Book.title)).select_from(Book)).one())
        session.rollback()
        loaded = session.scalars(sa.select(Author).options(orm.selectinload(Author.books)).order_by(Author.id)).all()
        show("authors", [(one.name, len(one.books)) for one in loaded])
        rank = sa.func.row_number().over(order_by=Book.price.desc())
        show("ranked", session.execute(sa.select(Book.title, rank, Book.told["n"].as_integer()).limit(3)).all())


def statements(made):
    book, author = Book.__table__, Author.__table__
    with made.begin() as connection:
        done = connection.execute(sa.insert(author), [{"name": f"author {n}"} for n in range(500)])
        show("many", done.rowcount)
        done = connection.execute(sa.insert(author).returning(author.c.id, author.c.name), [{"name": f"r {n}"} for n in range(3)])
        show("returned", done.all())
        upsert = mysql.insert(author).values(id=1, name="Ada").on_duplicate_key_update(name="Ada II")
        show("upserted", connection.execute(upsert).rowcount)
        show("updated", connection.execute(sa.update(book).where(book.c.id < 4).values(price=book.c.price + 1)).rowcount)
        show("deleted", connection.execute(sa.delete(author).where(author.c.name.like("author 1%"))).rowcount)
    with made.connect() as connection:
        wide = sa.text("SELECT seq, REPEAT('x', seq % 100) AS filling FROM seq_1_to_100000")
        streamed = connection.execution_options(stream_results=True, max_row_buffer=500).execute(wide)
        equal(sum(row.seq for row in streamed), 5000050000)
        both = sa.union_all(sa.select(book.c.title), sa.select(author.c.name)).subquery()
        show("union", connection.execute(sa.select(sa.func.count()).select_from(both)).scalar_one())


def transactions(made):
    author = Author.__table__
    with made.connect() as connection:
        with connection.begin():
            connection.execute(sa.insert(author).values(name="outer"))
            nested = connection.begin_nested()
            connection.execute(sa.insert(author).values(name="inner"))
            nested.rollback()
            with connection.begin_nested():
                connection.execute(sa.insert(author).values(name="kept"))
        found = connection.execute(sa.select(author.c.name).where(author.c.name.in_(["outer", "inner", "kept"])).order_by(author.c.name))
        equal(found.scalars().all(), ["kept", "outer"])
    with made.connect() as connection:
        with connection.begin_twophase(f"x-{DATABASE}") as two:
            connection.execute(sa.insert(author).values(name="in two phases"))
            two.prepare()
            two.commit()
    for level in ("AUTOCOMMIT", "SERIALIZABLE", "READ COMMITTED"):
        with made.connect().execution_options(isolation_level=level) as connection:
            show("level", connection.get_isolation_level(), connection.execute(sa.text("SELECT @@autocommit, @@tx_isolation")).one())
    with made.connect() as connection:
        show("default level", connection.default_isolation_level, connection.dialect.server_version_info, connection.dialect.is_mariadb)


def errors(made):
    for sql, values in (
        ("SELEC 1", {}),
        ("SELECT * FROM nowhere", {}),
        ("INSERT INTO author (id, name) VALUES (1, :name)", {"name": "x"}),
        ("INSERT INTO author (name) VALUES (:name)", {"name": "x" * 41}),
        ("INSERT INTO author (name) VALUES (:name)", {"name": None}),
        ("INSERT INTO book (author_id, title) VALUES (100000, 'x')", {}),
        ("INSERT INTO book (author_id, title, price) VALUES (1, 'x', -1)", {}),
    ):
        with made.connect() as connection:
            try:
                connection.execute(sa.text(sql), values)
            except sa.exc.DBAPIError as error:
                show("refused", type(error).__name__, type(error.orig).__name__, error.orig.args, error.connection_invalidated)
            else:
                raise AssertionError(f"{sql} was not refused")


def objects(made):
    """Views, sequences, temporary tables, and what drops all of it."""
    with made.begin() as connection:
        connection.exec_driver_sql("CREATE VIEW cheap AS SELECT id, title FROM book WHERE price < 10")
        numbers = sa.Sequence("numbers", start=5, increment=3)
        connection.execute(sa.schema.CreateSequence(numbers))
        show("sequence", [connection.scalar(numbers) for _ in range(3)])
        brief = sa.Table("brief", sa.MetaData(), sa.Column("id", sa.BigInteger, primary_key=True), prefixes=["TEMPORARY"])
        brief.create(connection)
        show("temporary", connection.execute(sa.insert(brief)).inserted_primary_key)
    inspect(made)
    with made.begin() as connection:
        connection.exec_driver_sql("DROP VIEW cheap")
        connection.execute(sa.schema.DropSequence(sa.Sequence("numbers")))
    left = sa.MetaData()
    left.reflect(made)
    left.drop_all(made)
    equal(sa.inspect(made).get_table_names(), [])


def predict(made):
    photos = sa.Table("photos", sa.MetaData(), autoload_with=made)
    label = sa.func.ml.predict("apparel", photos.c.photo, type_=sa.String).label("label")
    of_first = [id for id, found in enumerate(EXPECT, 1) if found == EXPECT[0]]
    with made.connect() as connection:
        equal(connection.scalars(sa.select(label).order_by(photos.c.id)).all(), EXPECT)
        asked = sa.select(photos.c.id).where(label == EXPECT[0]).order_by(photos.c.id)
        equal(connection.scalars(asked).all(), of_first)
        counted = sa.select(label, sa.func.count().label("n")).group_by("label").having(sa.func.count() > 1).order_by(sa.desc("n"), "label")
        show("grouped", connection.execute(counted).all())
        bound = sa.select(photos.c.id, label).where(label.in_(sa.bindparam("labels", expanding=True)), photos.c.id < sa.bindparam("id")).order_by("label", photos.c.id)
        for labels in (EXPECT[:2], ["Bag"], ["none"]):
            show("bound", connection.execute(bound, {"labels": labels, "id": 15}).all())
        path = sa.func.ml.apparel(sa.bindparam("path", type_=sa.String))
        show("path", connection.execute(sa.select(path), {"path": "photos/00002.png"}).scalar_one())
        kind = sa.case((label.like("S%"), "S"), (label.is_(None), "none"), else_=sa.func.upper(label))
        show("cases", connection.execute(sa.select(kind.label("kind"), sa.func.min(photos.c.id)).group_by("kind").order_by("kind")).all())
        rank = sa.func.row_number().over(partition_by=label, order_by=photos.c.id)
        show("ranked", connection.execute(sa.select(photos.c.id, rank).order_by(photos.c.id)).all())
        inner = sa.select(label, photos.c.id.label("n")).subquery()
        show("derived", connection.execute(sa.select(inner.c.label, sa.func.max(inner.c.n)).group_by(inner.c.label).order_by(inner.c.label)).all())
        streamed = connection.execution_options(stream_results=True, max_row_buffer=3).execute(sa.select(label).order_by(photos.c.id))
        equal([row.label for row in streamed], EXPECT)
    predict_changes(made, photos, label)
    predict_mapped(made, of_first)


def predict_changes(made, photos, label):
    kinds = sa.Table("kinds", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True, autoincrement=False), sa.Column("kind", sa.String(40)))
    with made.begin() as connection:
        kinds.create(connection)
        show("inserted", connection.execute(sa.insert(kinds).from_select(["id", "kind"], sa.select(photos.c.id, label))).rowcount)
        show("kept", connection.execute(sa.select(kinds).order_by(kinds.c.id)).all())
        wrong = sa.update(kinds).values(kind=sa.func.concat(label, "!")).where(kinds.c.id == photos.c.id, label != EXPECT[0])
        show("updated", connection.execute(wrong).rowcount)
        show("changed", connection.execute(sa.select(kinds.c.kind).order_by(kinds.c.id)).scalars().all())
    with made.begin() as connection:
        gone = sa.delete(kinds).where(kinds.c.id.in_(sa.select(photos.c.id).where(label == EXPECT[0])))
        show("deleted", connection.execute(gone).rowcount)
        connection.rollback()
    with made.begin() as connection:
        show("rolled back", connection.execute(sa.select(sa.func.count()).select_from(kinds)).scalar_one())
        kinds.drop(connection)


def predict_mapped(made, of_first):
    class Mapped(orm.DeclarativeBase):
        pass

    class Photo(Mapped):
        __tablename__ = "photos"
        id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
        photo: orm.Mapped[str] = orm.mapped_column(sa.String(200))

    Photo.label = orm.column_property(sa.func.ml.predict("apparel", Photo.photo, type_=sa.String))
    with orm.Session(made) as session:
        equal([photo.label for photo in session.scalars(sa.select(Photo).order_by(Photo.id))], EXPECT)
        found = session.scalars(sa.select(Photo).where(Photo.label == EXPECT[0], Photo.id > 0).order_by(Photo.id).limit(3)).all()
        equal([photo.id for photo in found], of_first[:3])
        show("counted", session.execute(sa.select(Photo.label, sa.func.count(Photo.id)).group_by(Photo.label).order_by(Photo.label)).all())
        show("legacy", session.query(Photo).filter(Photo.label.in_(EXPECT[:3])).order_by(Photo.label, Photo.id).count())
        other = orm.aliased(Photo)
        same = sa.exists().where(other.id < Photo.id, other.label == Photo.label)
        show("the first of its kind", session.scalars(sa.select(Photo.id).where(~same).order_by(Photo.id)).all())


def main():
    for driver in sys.argv[1:]:
        made = engine(driver, pool_pre_ping=True, pool_size=3)
        show("driver", driver)
        if PREDICT:
            predict(made)
        else:
            for step in (types, mapped, statements, transactions, errors, objects):
                step(made)
        made.dispose()


main()
