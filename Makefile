# PredictSQL's commands. `make demo` shows it, `make test` proves it.

CARGO ?= cargo
DEMO_PORT ?= 3307
DEMO_DIR ?= predictsql-data

# What scripts/setup.sh put into this checkout. Your own library or Python win.
export PREDICTSQL_ORT_LIB ?= $(CURDIR)/.cache/onnxruntime/libonnxruntime.so
export PREDICTSQL_TEST_PYTHON ?= $(CURDIR)/.cache/venv/bin/python
# The program sets it for itself; tests and benchmarks load the library, too.
export ORT_DISABLE_TELEMETRY ?= 1

.PHONY: help demo test test-clients test-triton lint bench setup setup-demo setup-clients setup-bench

help:
	@echo "make demo    set up, build, and serve a small shop with predictions on port $(DEMO_PORT)"
	@echo "             (DEMO_PORT=n: another port; DEMO_EXIT=1: stop after the queries)"
	@echo "make test    set up, lint, and run every test"
	@echo "make test-clients  set up many kinds of clients, and run their suites through the proxy"
	@echo "make test-triton   set up NVIDIA Triton, and use it as an external server"
	@echo "make lint    formatting, clippy, licences and advisories of dependencies"
	@echo "make bench-gpu  images a second and utilisation of an NVIDIA GPU, beside a bare loop on it"
	@echo "make bench   the benchmarks; results are added to bench/history/"
	@echo "make setup   install what is missing: MariaDB, test images, ONNX Runtime, PyMySQL"

setup:
	scripts/setup.sh test

setup-demo:
	scripts/setup.sh demo

setup-clients:
	scripts/setup.sh clients

setup-bench:
	scripts/setup.sh bench

demo: setup-demo
	$(CARGO) build --release --locked -p predictsql-proxy
	target/release/predictsql demo --data-dir "$(DEMO_DIR)" --listen "127.0.0.1:$(DEMO_PORT)"

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
		$(CARGO) deny --locked check; \
	else \
		echo "lint: cargo-deny is not installed: licences and advisories are not checked (cargo install cargo-deny)"; \
	fi

# Unit and property tests of every crate first, the end-to-end tests last: they need the binary.
test: setup lint
	$(CARGO) build --locked -p predictsql-proxy
	$(CARGO) test --locked --workspace --exclude predictsql-tests --lib --bins --tests
	$(CARGO) test --locked -p predictsql-tests --lib --test e2e
	@cat target/differential-summary target/differential-summary-views
	$(MAKE) test-clients

# The suites of tests/clients/, each directly and through the proxy. They are the last part of `make test`.
test-clients: setup-clients
	$(CARGO) build --locked -p predictsql-proxy
	$(CARGO) test --locked -p predictsql-tests --test clients

# A real Triton as the external server of a proxy. It is no part of `make test`: Triton is 60 MB more to fetch.
test-triton: setup
	scripts/setup-triton.sh
	$(CARGO) build --locked -p predictsql-proxy
	$(CARGO) test --locked -p predictsql-tests --test triton

bench: setup-bench
	$(CARGO) build --release --locked -p predictsql-proxy -p predictsql-bench
	target/release/predictsql-bench predict
	target/release/predictsql-bench relay
	target/release/predictsql-bench semantics
	target/release/predictsql-bench estimates
	target/release/predictsql-bench objects
	target/release/predictsql-bench decode
	target/release/predictsql-bench fairness
	target/release/predictsql-bench workers
	target/release/predictsql-bench plan
	target/release/predictsql-bench selection
	target/release/predictsql-bench soak

# Needs no network, and says what is missing: an NVIDIA driver with nvidia-smi, CUDA 13 and cuDNN 9 where the loader finds them,
# PREDICTSQL_ORT_LIB=.../libonnxruntime.so of ONNX Runtime with CUDA, Fashion-MNIST, and for the photo case `make setup-bench` once.
bench-gpu:
	$(CARGO) build --release --locked --offline -p predictsql-proxy -p predictsql-bench
	target/release/predictsql-bench predict --device cuda:0 --python /nonexistent
