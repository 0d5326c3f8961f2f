"""A field of every kind that Django has for MariaDB, and every kind of relation and constraint."""

import uuid

from django.db import models


class Everything(models.Model):
    big = models.BigIntegerField(null=True)
    binary = models.BinaryField(null=True)
    boolean = models.BooleanField(null=True)
    char = models.CharField(max_length=100, default="Zeichen ü", db_index=True)
    date = models.DateField(null=True)
    datetime = models.DateTimeField(null=True)
    decimal = models.DecimalField(max_digits=12, decimal_places=3, null=True)
    duration = models.DurationField(null=True)
    email = models.EmailField(blank=True)
    file = models.FileField(upload_to="files", blank=True)
    float = models.FloatField(null=True)
    ip = models.GenericIPAddressField(null=True)
    integer = models.IntegerField(null=True, db_comment="how many, 'really'")
    json = models.JSONField(null=True)
    positive = models.PositiveIntegerField(null=True)
    positive_big = models.PositiveBigIntegerField(null=True)
    positive_small = models.PositiveSmallIntegerField(null=True)
    slug = models.SlugField(blank=True)
    small = models.SmallIntegerField(null=True)
    text = models.TextField(blank=True)
    time = models.TimeField(null=True)
    url = models.URLField(blank=True)
    uuid = models.UUIDField(default=uuid.uuid4, unique=True)
    collated = models.CharField(max_length=20, db_collation="utf8mb4_bin", blank=True)
    counted = models.IntegerField(db_default=7)
    doubled = models.GeneratedField(expression=models.F("counted") * 2, output_field=models.IntegerField(), db_persist=True)

    class Meta:
        db_table_comment = "a field of every kind"
        indexes = [models.Index(fields=["date", "-integer"], name="by_two")]
        constraints = [models.CheckConstraint(condition=models.Q(small__gte=-100), name="small_enough")]


class Author(models.Model):
    name = models.CharField(max_length=40, unique=True)


class Tag(models.Model):
    word = models.CharField(max_length=20, primary_key=True)


class Book(models.Model):
    author = models.ForeignKey(Author, on_delete=models.CASCADE, related_name="books")
    sequel_of = models.OneToOneField("self", on_delete=models.SET_NULL, null=True)
    tags = models.ManyToManyField(Tag)
    title = models.CharField(max_length=60)
    price = models.DecimalField(max_digits=8, decimal_places=2)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["author", "title"], name="title_once")]
