#!/bin/sh
# Installs a Triton inference server into .cache/triton of this checkout, for `make test-triton`: about
# 60 MB from PyPI. It needs Python 3.11 or 3.12 with its shared library (libpython). No service is started.
# Running it again is quick and changes nothing.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
venv=$root/.cache/triton
requirements=$root/scripts/requirements-triton.txt

say() { printf 'setup-triton: %s\n' "$*"; }

if cmp -s "$requirements" "$venv/requirements.txt"; then
    say "nothing is missing"
    exit 0
fi
say "making a Python environment in .cache/triton"
rm -rf "$venv"
python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary=:all: -r "$requirements"

# The program of the Python backend that fits this Python goes where Triton looks for it.
"$venv/bin/python" - <<'PY'
import pathlib, shutil, sys, sysconfig

server = pathlib.Path(sysconfig.get_paths()["purelib"]) / "pytriton" / "tritonserver"
version = f"{sys.version_info.major}.{sys.version_info.minor}"
stub = server / "python_backend_stubs" / version / "triton_python_backend_stub"
shutil.copy(stub, server / "backends" / "python")
PY
cp "$requirements" "$venv/requirements.txt"
say "ready"
