"""Django over mysqlclient: migrations of its own apps and of one with all fields, inspectdb, the ORM, transactions."""

import datetime
import decimal
import io
import pathlib
import shutil
import sys
import uuid

import django
from django.conf import settings

from transcript import DATABASE, EXPECT, HOST, PASSWORD, PORT, PREDICT, TLS_CA, USER, check, equal, show

# Migrations are written: into a copy of the app in the current directory.
shutil.copytree(pathlib.Path(__file__).parent / "django_shop", "django_shop", ignore=shutil.ignore_patterns("__pycache__"))
sys.path.insert(0, str(pathlib.Path.cwd()))

settings.configure(
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "django_shop"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.mysql",
            "HOST": HOST,
            "PORT": PORT,
            "USER": USER,
            "PASSWORD": PASSWORD,
            "NAME": DATABASE,
            "OPTIONS": {"charset": "utf8mb4"} | ({"ssl_mode": "VERIFY_IDENTITY", "ssl": {"ca": TLS_CA}} if TLS_CA else {}),
            "TEST": {"NAME": f"{DATABASE}_test"},
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
    TIME_ZONE="UTC",
    SILENCED_SYSTEM_CHECKS=["mysql.W002", "mysql.W003"],
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402 (models need the settings)
from django.core.management import call_command  # noqa: E402
from django.db import connection, models, transaction  # noqa: E402
from django.db.models import functions  # noqa: E402
from django.db.utils import Error  # noqa: E402

from django_shop.models import Author, Book, Everything, Tag  # noqa: E402


def command(name, *arguments, **options):
    """What a command of manage.py prints."""
    said = io.StringIO()
    call_command(name, *arguments, stdout=said, stderr=said, no_color=True, **options)
    return said.getvalue()


def migrations():
    # What the system checks ask the database.
    show("check", command("check", databases=["default"]))
    show("made", command("makemigrations", "django_shop"))
    show("plan", command("showmigrations", plan=True))
    print(command("sqlmigrate", "django_shop", "0001"))
    print(command("migrate", verbosity=1))
    show("nothing more to make", command("makemigrations", check_changes=True, dry_run=True))
    show("nothing more to migrate", command("migrate"))
    print(command("showmigrations"))
    print(command("inspectdb", include_views=True))
    show("flush", sorted(command("sqlflush").splitlines()))
    for table in connection.introspection.table_names():
        show("table", table)
        with connection.cursor() as cursor:
            show("constraints", sorted(connection.introspection.get_constraints(cursor, table).items()))
            show("sequences", connection.introspection.get_sequences(cursor, table))
            show("relations", connection.introspection.get_relations(cursor, table))


def altered():
    """Changes of tables as migrations make them, and back."""
    with connection.schema_editor() as editor:
        old = Book._meta.get_field("title")
        new = models.CharField(max_length=120, null=True, db_index=True)
        new.set_attributes_from_name("title")
        editor.alter_field(Book, old, new)
        extra = models.IntegerField(default=5)
        extra.set_attributes_from_name("extra")
        editor.add_field(Book, extra)
        with connection.cursor() as cursor:
            show("altered", connection.introspection.get_table_description(cursor, "django_shop_book"))
        editor.remove_field(Book, extra)
        editor.alter_field(Book, new, old)
        editor.alter_db_table(Tag, "django_shop_tag", "django_shop_word")
        editor.alter_db_table(Tag, "django_shop_word", "django_shop_tag")


def fields():
    moment = datetime.datetime(2024, 2, 29, 1, 2, 3, 456789, tzinfo=datetime.timezone.utc)
    given = {
        "big": -(1 << 63), "binary": bytes(range(256)), "boolean": True, "char": "it's 😀 \\ \"%s\"", "date": moment.date(),
        "datetime": moment, "decimal": decimal.Decimal("-123456789.125"), "duration": datetime.timedelta(days=-2, microseconds=3),
        "email": "a@example.org", "file": "files/x", "float": 1 / 3, "ip": "2001:db8::1", "integer": -5,
        "json": {"a": [1, None, {"ü": "😀"}]}, "positive": 4294967295, "positive_big": (1 << 64) - 1, "positive_small": 65535,
        "slug": "a-b", "small": -100, "text": "long " * 20_000, "time": moment.time(), "url": "https://example.org/?a=b",
        "uuid": uuid.UUID(int=5), "collated": "Ä", "counted": 21,
    }
    made = Everything.objects.create(**given)
    found = Everything.objects.get(pk=made.pk)
    for name, value in given.items():
        equal((name, getattr(found, name)), (name, value))
    show("generated", found.doubled, made.doubled)
    empty = Everything.objects.create(uuid=uuid.UUID(int=6))
    for name in ("big", "boolean", "char", "datetime", "json", "email", "counted", "doubled"):
        show("empty", name, getattr(Everything.objects.get(pk=empty.pk), name))
    show("by JSON", list(Everything.objects.filter(json__a__2__ü="😀").values_list("id", "json__a__0")))
    show("by parts", list(Everything.objects.filter(datetime__year=2024, datetime__week_day=5, time__minute=2).values_list("id")))
    show("by text", [Everything.objects.filter(**{f"char__{way}": text}).count() for way, text in (("iexact", "IT'S 😀 \\ \"%S\""), ("contains", "%"), ("regex", "^it"), ("startswith", "Zei"))])
    show("truncated", list(Everything.objects.exclude(datetime=None).annotate(month=functions.TruncMonth("datetime")).values_list("month", "id")))


def queries():
    authors = Author.objects.bulk_create([Author(name=f"author {n}") for n in range(300)])
    show("ids", [author.pk for author in authors[:3]])
    tags = [Tag.objects.get_or_create(word=word)[0] for word in ("a", "b", "ü", "a")]
    books = [Book(author=author, title=f"book {n}", price=n) for author in Author.objects.order_by("id")[:10] for n in range(20)]
    Book.objects.bulk_create(books, batch_size=50)
    first = Book.objects.order_by("id").first()
    first.tags.set(tags)
    show("tags", list(first.tags.order_by("word").values_list(flat=True)))
    show("joined", list(Book.objects.select_related("author").filter(tags__word="ü").values_list("title", "author__name")))
    show("grouped", list(Author.objects.annotate(sum=models.Sum("books__price"), n=models.Count("books")).filter(n__gt=0).order_by("id").values_list("name", "sum", "n")[:3]))
    show("prefetched", [(author.name, len(author.books.all())) for author in Author.objects.prefetch_related("books").order_by("id")[:12]])
    rank = models.Window(functions.Rank(), partition_by="author", order_by="-price")
    show("ranked", list(Book.objects.annotate(rank=rank).order_by("id").values_list("id", "rank")[:3]))
    show("updated", Book.objects.filter(price__lt=5).update(price=models.F("price") + 1), Book.objects.aggregate(models.Sum("price")))
    show("updated in bulk", Author.objects.bulk_update([Author(pk=author.pk, name=f"{author.name}!") for author in Author.objects.order_by("id")[:5]], ["name"]))
    upserted = Author.objects.bulk_create([Author(name="author 299"), Author(name="new")], update_conflicts=True, update_fields=["name"])
    show("upserted", len(upserted), Author.objects.count())
    show("deleted", Author.objects.filter(name__startswith="author 1").delete())
    show("union", Author.objects.values_list("name").union(Tag.objects.values_list("word")).count())
    show("streamed", sum(1 for _ in Book.objects.iterator(chunk_size=10)))
    show("explained", len(Book.objects.filter(price=1).explain()) > 10)
    with connection.cursor() as cursor:
        cursor.execute("SELECT seq, %s AS text FROM seq_1_to_100000", ["ü%"])
        equal(sum(row[0] for row in cursor.fetchall()), 5000050000)
    user = User.objects.create_user("ada", password="secret")
    show("user", user.pk, user.check_password("secret"), user.has_perm("django_shop.add_book"))


def transactions():
    with transaction.atomic():
        Author.objects.create(name="outer")
        try:
            with transaction.atomic():
                Author.objects.create(name="inner")
                Author.objects.create(name="outer")
        except Error as error:
            show("inner", type(error).__name__, *error.args)
        show("locked", Author.objects.select_for_update(nowait=True).get(name="outer").name)
    try:
        with transaction.atomic():
            Author.objects.all().delete()
            raise ValueError
    except ValueError:
        pass
    equal(sorted(Author.objects.filter(name__in=["outer", "inner"]).values_list("name", flat=True)), ["outer"])
    for wrong in (
        lambda: Everything.objects.create(small=-101),
        lambda: Everything.objects.create(small=1 << 20),
        lambda: Everything.objects.create(char="x" * 101),
        lambda: Book.objects.create(author_id=99999, title="x", price=1),
        lambda: Author.objects.raw("SELEC")[0],
    ):
        try:
            with transaction.atomic():
                wrong()
        except Error as error:
            show("refused", type(error).__name__, *error.args)
        else:
            raise AssertionError("it was not refused")


def whole():
    """What is dumped, flushed and loaded again; a test database; back to before the first migration."""
    dumped = command("dumpdata", "django_shop", indent=1)
    pathlib.Path("shop.json").write_text(dumped, encoding="utf-8")
    command("flush", interactive=False)
    equal(Author.objects.count(), 0)
    show("loaded", command("loaddata", "shop.json"))
    equal(command("dumpdata", "django_shop", indent=1), dumped)
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    show("in the test database", Author.objects.count(), connection.settings_dict["NAME"])
    connection.creation.destroy_test_db(DATABASE, verbosity=0)
    show("back", command("migrate", "django_shop", "zero"))
    show("tables", connection.introspection.table_names())


def predict():
    class Photo(models.Model):
        photo = models.CharField(max_length=200)

        class Meta:
            app_label = "photos"
            managed = False
            db_table = "photos"

    class Kind(models.Model):
        photo = models.OneToOneField(Photo, models.DO_NOTHING, primary_key=True, db_constraint=False)
        kind = models.CharField(max_length=40, null=True)

        class Meta:
            app_label = "photos"
            db_table = "kinds"

    label = models.Func(models.Value("apparel"), models.F("photo"), function="ml.predict", output_field=models.CharField())
    asked = Photo.objects.annotate(label=label)
    equal(list(asked.order_by("id").values_list("label", flat=True)), EXPECT)
    wanted = [id for id, found in enumerate(EXPECT, 1) if found == EXPECT[0]]
    equal(list(asked.filter(label=EXPECT[0]).order_by("id").values_list("id", flat=True)), wanted)
    show("grouped", list(asked.values("label").annotate(n=models.Count("id")).filter(n__gt=1).order_by("-n", "label")))
    show("in", list(asked.filter(label__in=EXPECT[:2], id__lt=15).order_by("label", "id").values_list("id", "label")))
    show("like", [asked.filter(**{f"label__{way}": "S"}).count() for way in ("startswith", "istartswith", "contains", "iexact")])
    show("excluded", asked.exclude(label=EXPECT[0]).count(), asked.filter(label=None).exists())
    show("aggregated", asked.aggregate(shirts=models.Count("id", filter=models.Q(label="Shirt")), last=models.Max("label")))
    size = models.Case(models.When(label__startswith="S", then=models.Value("s")), default=functions.Upper("label"))
    show("cases", list(asked.annotate(size=size).order_by("size", "id").values_list("size", "id")[:9]))
    rank = models.Window(functions.RowNumber(), partition_by="label", order_by="id")
    show("ranked", list(asked.annotate(rank=rank).order_by("id").values_list("id", "rank")))
    show("sliced", list(asked.filter(label__gt="C").order_by("id").values_list("id", "label")[2:5]))
    show("distinct", list(asked.values_list("label", flat=True).distinct().order_by("label")))
    show("union", sorted(asked.filter(id=1).values_list("label").union(asked.filter(id=2).values_list("label"))))
    show("streamed", [photo.label for photo in asked.order_by("id").iterator(chunk_size=3)])
    show("raw", [photo.label for photo in Photo.objects.raw("SELECT id, photo, ml.predict('apparel', photo) AS label FROM photos WHERE id < %s ORDER BY id", [4])])
    with connection.schema_editor() as editor:
        editor.create_model(Kind)
    with transaction.atomic():
        Kind.objects.bulk_create([Kind(photo_id=id) for id in asked.filter(label__in=EXPECT[:2]).order_by("id").values_list("id", flat=True)])
        kind = models.Subquery(asked.filter(id=models.OuterRef("photo_id")).values("label")[:1])
        show("updated", Kind.objects.update(kind=kind))
    show("kinds", list(Kind.objects.order_by("photo_id").values_list("photo_id", "kind")))
    show("deleted", Kind.objects.filter(photo__in=asked.filter(label=EXPECT[0])).delete())


def main():
    if PREDICT:
        predict()
        return
    check(connection.mysql_is_mariadb, "the store says what it is")
    show("server", connection.mysql_version, connection.features.has_native_uuid_field, connection.settings_dict["ENGINE"])
    for step in (migrations, altered, fields, queries, transactions, whole):
        step()
    connection.close()


main()
