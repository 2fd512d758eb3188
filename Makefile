# Two commands are all a newcomer needs:
#   make up      sets everything up and runs the whole system on http://127.0.0.1:8080
#   make test    sets everything up and runs every check
# Both start from nothing but Python 3.11 or newer, make and a Rust toolchain.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UP     ?=
FUZZ_SECONDS ?= 10
SOURCES := $(shell find rust/src -name '*.rs') rust/Cargo.toml rust/Cargo.lock pyproject.toml

.PHONY: up test check bench fuzz screenshots chromium clean help

help:  ## what each target does
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ \t/'

up: $(VENV)/installed  ## set up and run the system (options: make up UP="--port 9000")
	$(BIN)/messwerk up $(UP)

test: $(VENV)/installed-test chromium check  ## set up and run every check
	$(BIN)/python -m pytest

check: $(VENV)/installed-test  ## linters, types, layers and the Rust side, without pytest
	$(BIN)/ruff check src tests bench examples
	$(BIN)/ruff format --check src tests bench examples
	$(BIN)/mypy
	$(BIN)/lint-imports
	cargo fmt --manifest-path rust/Cargo.toml --check
	cargo clippy --quiet --manifest-path rust/Cargo.toml --all-targets -- -D warnings
	PYO3_PYTHON=$(abspath $(BIN)/python) cargo clippy --quiet --manifest-path rust/Cargo.toml --features extension-module -- -D warnings
	cargo check --quiet --manifest-path rust/fuzz/Cargo.toml
	PYO3_PYTHON=$(abspath $(BIN)/python) cargo test --quiet --manifest-path rust/Cargo.toml

fuzz:  ## ten seconds of each fuzz target on stable Rust (make fuzz FUZZ_SECONDS=600 for a real run)
	for target in frames walk columns; do \
	  cargo run --quiet --release --manifest-path rust/fuzz/Cargo.toml -- $$target --seconds $(FUZZ_SECONDS) || exit 1; \
	done

bench: $(VENV)/installed-test  ## every claim of speed, with its peers in the same run
	$(BIN)/messwerk bench all

screenshots: $(VENV)/installed-test chromium  ## pictures of every page in artifacts/screenshots
	$(BIN)/python -m pytest -m browser

chromium:  ## Debian's chromium for the browser tests, when missing and permitted
	@if command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; then :; \
	elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  echo "installing chromium for the browser tests"; \
	  apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y chromium >/dev/null; \
	else echo "chromium is missing: the browser tests will be skipped (install it to run them)"; fi

clean:  ## remove everything that was built
	rm -rf $(VENV) rust/target build dist artifacts src/messwerk/*.so

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Messwerk needs Python 3.11 or newer; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 1; }
	@command -v cargo >/dev/null || { echo "Messwerk needs a Rust toolchain (cargo) to build its core"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The editable install builds the Rust core; only a changed core or pyproject builds again.
$(VENV)/installed: $(VENV)/bin/python $(SOURCES)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@
