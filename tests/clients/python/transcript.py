"""The transcript of a suite, and where it runs. A transcript holds no address, port, time or connection id."""

import hashlib
import os
import pathlib

HOST = os.environ["CLIENT_HOST"]
PORT = int(os.environ["CLIENT_PORT"])
USER = os.environ["CLIENT_USER"]
PASSWORD = os.environ["CLIENT_PASSWORD"]
DATABASE = os.environ["CLIENT_DATABASE"]
PREDICT = os.environ.get("CLIENT_PREDICT") == "1"
EXPECT = os.environ.get("CLIENT_EXPECT", "").split(",")
TLS_CA = os.environ.get("CLIENT_CA") if os.environ.get("CLIENT_TLS") == "1" else None

# Longer texts and bytes are shown by length and digest.
SHOWN_LENGTH_MAX = 300


def every_type_statements():
    """The statements that all suites share: a table of every type, and its rows."""
    text = (pathlib.Path(__file__).parent.parent / "every_type.sql").read_text(encoding="utf-8")
    return [statement for statement in text.split(";\n") if statement.strip()]


def show(step, *values):
    """Prints one line: the step, and its values with their types."""
    print(f"{step}:", *map(rendered, values), flush=True)


def rendered(value):
    """A value as Python writes it, but short, and the same in every run."""
    if isinstance(value, (str, bytes, bytearray)) and len(value) > SHOWN_LENGTH_MAX:
        raw = value.encode() if isinstance(value, str) else bytes(value)
        return f"{type(value).__name__}({len(value)}, sha256 {hashlib.sha256(raw).hexdigest()[:16]})"
    if type(value) in (list, tuple):
        opening, closing = "[]" if isinstance(value, list) else "()"
        return opening + ", ".join(map(rendered, value)) + closing
    if isinstance(value, (set, frozenset)):
        return "{" + ", ".join(sorted(map(rendered, value))) + "}"
    if type(value) is dict:
        return "{" + ", ".join(f"{rendered(key)}: {rendered(item)}" for key, item in value.items()) + "}"
    return repr(value)


def check(holds, *what):
    """Ends the suite unless this holds, whatever the interpreter's settings."""
    if not holds:
        raise AssertionError(what)


def equal(found, wanted):
    """Ends the suite unless the two are equal."""
    check(found == wanted, "found", found, "wanted", wanted)
