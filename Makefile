# `make demo` and `make test` need Python 3.11+ and make, nothing else. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV := $(VENV)/.installed-dev

.PHONY: help demo serve test lint unit faults coverage bench lock clean

help: ## this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; $(PYTHON) is older. Try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv module is missing. On Debian or Ubuntu: apt-get install python3-venv"; exit 2; }
	@echo "installing into $(VENV) (hash-locked)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

$(DEV): $(STAMP) requirements-dev.lock
	@echo "installing what the tests and back-tests need (hash-locked)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $(DEV)

demo: $(STAMP) ## a running service on simulated venues, http://127.0.0.1:8080
	@$(BIN)/elr demo

serve: $(STAMP) ## the service on live public venues
	@$(BIN)/elr serve

test: lint unit ## everything a change must pass

lint: $(DEV) ## format, lint, types, import rules
	@$(BIN)/ruff format --check --quiet . || { echo "run: $(BIN)/ruff format ."; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo 2>&1 | tail -n 5
	@$(BIN)/lint-imports --no-logo >/dev/null 2>&1

unit: $(DEV) ## the tests, two files at a time: real sockets and servers keep two cores busy
	@$(BIN)/pytest -n 2 --dist loadfile

faults: $(DEV) ## every fault on every venue in virtual time, judged, one table (half an hour)
	@$(BIN)/python -m tests.faults.matrix

coverage: $(DEV) ## the tests with branch coverage
	@$(BIN)/pytest --cov --cov-report=term

bench: $(DEV) ## decode and tick costs as ratios, one table
	@$(BIN)/python -m bench

lock: ## resolve both lock files anew, what runs and what tests (needs uv: pip install uv)
	uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --no-emit-index-url --python-version 3.11 --group dev pyproject.toml -o requirements-dev.lock
	uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --no-emit-index-url --python-version 3.11 --group build --constraint requirements-dev.lock pyproject.toml -o requirements.lock

clean: ## remove what make installed and built
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
