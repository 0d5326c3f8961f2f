"""A small Django app whose models have a field of every kind. The suite is `django_suite.py`."""
