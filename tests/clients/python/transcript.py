"""The transcript of a suite, and where it runs. A transcript holds no address, port, time or connection id."""

import os

HOST = os.environ["CLIENT_HOST"]
PORT = int(os.environ["CLIENT_PORT"])
USER = os.environ["CLIENT_USER"]
PASSWORD = os.environ["CLIENT_PASSWORD"]
DATABASE = os.environ["CLIENT_DATABASE"]
PREDICT = os.environ.get("CLIENT_PREDICT") == "1"
EXPECT = os.environ.get("CLIENT_EXPECT", "").split(",")


def show(step, *values):
    """Prints one line: the step, and its values with their types as Python writes them."""
    print(f"{step}:", *(value if isinstance(value, str) else repr(value) for value in values), flush=True)


def check(holds, *what):
    """Ends the suite unless this holds, whatever the interpreter's settings."""
    if not holds:
        raise AssertionError(what)


def equal(found, wanted):
    """Ends the suite unless the two are equal."""
    check(found == wanted, "found", found, "wanted", wanted)
