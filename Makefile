# `make demo` and `make test` need Python 3.11+ and make, nothing else. `make help` lists the rest.
PYTHON ?= python3
UV ?= uv
COOLDOWN ?= 1 week
VENV := .venv
PEERS := peers-venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV := $(VENV)/.installed-dev

.PHONY: help demo serve dev test lint unit quick faults fuzz coverage bench peers wheel lock upgrade clean anew

help: ## this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

# What is installed is the lock file and nothing else: no version is looked for (--no-deps), nothing is built with tools
# that no lock names (--only-binary). `pip check` then says what the lock lacks. The stamp comes last, and an
# environment without it is thrown away: one whose making was stopped never passes for whole.
pip := $(BIN)/pip --disable-pip-version-check
locked = $(pip) install --quiet --require-hashes --no-deps --only-binary :all: -r $(1) || \
  { echo "Nothing usable was installed; the reason stands above. Run the same command again once it is mended (docs/install.md)."; exit 2; }
check = said=$$($(pip) check 2>&1) || \
  { echo "$$said"; echo "What is installed does not fit together: the lock files do not answer to pyproject.toml. After a change there: make lock"; exit 2; }

# An environment is also made anew if its Python is gone, or is another one than was asked for (make PYTHON=...).
version = $(shell $(1) -c 'import sys; print(sys.hexversion >> 16)' 2>/dev/null)
made := $(call version,$(BIN)/python)
ifeq ($(made),)
$(STAMP): anew
else ifneq ($(origin PYTHON),file)
ifneq ($(made),$(call version,$(PYTHON)))
$(STAMP): anew
endif
endif

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; $(PYTHON) is older. Try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv module is missing. On Debian or Ubuntu: apt-get install python3-venv"; exit 2; }
	@echo "installing into $(VENV) (hash-locked)"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@[ -z "$(OLD_PIP)" ] || $(pip) install --quiet pip==$(OLD_PIP) # .ci/run: the oldest pip that must do
	@$(call locked,requirements.lock)
	@$(pip) install --quiet --no-deps --no-build-isolation -e .
	@$(check)
	@touch $(STAMP)

# Added to what runs, so that a running demo keeps its files; but never to an older lock or a half installation.
$(DEV): $(STAMP) requirements-dev.lock
	@if [ -e $(DEV) ] || [ -e $(DEV).begun ]; then $(MAKE) --no-print-directory -W requirements.lock $(STAMP); fi
	@echo "installing what the tests and back-tests need (hash-locked)"
	@touch $(DEV).begun
	@$(call locked,requirements-dev.lock)
	@$(check)
	@mv $(DEV).begun $(DEV)

demo: $(STAMP) ## a running service on simulated venues, http://127.0.0.1:8080
	@$(BIN)/elr demo

serve: $(STAMP) ## the service on live public venues
	@$(BIN)/elr serve

dev: $(DEV) ## install also what tests and back-tests need

test: lint unit ## everything a change must pass

lint: $(DEV) ## format, lint, types, import rules
	@$(BIN)/ruff format --check --quiet . || { echo "run: $(BIN)/ruff format ."; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo 2>&1 | tail -n 5
	@$(BIN)/lint-imports --no-logo >/dev/null 2>&1

unit: $(DEV) ## the tests, two files at a time: real sockets and servers keep two cores busy
	@$(BIN)/pytest -n 2 --dist loadfile

quick: $(DEV) ## a minute of them, for another Python or pip: numpy, sockets, servers, commands, the lock itself
	@$(BIN)/pytest -n 2 --dist loadfile tests/research/backtest tests/cli tests/publishing tests/tapes tests/e2e/test_live_path.py \
	  tests/operations/test_install.py tests/test_*.py

faults: $(DEV) ## every fault on every venue in virtual time, judged, one table (half an hour)
	@$(BIN)/python -m tests.faults.matrix

fuzz: $(DEV) ## a million mutated frames over all venues (a minute or two); stopped, it goes on when called again
	@$(BIN)/python -m tests.venues.fuzz

coverage: $(DEV) ## the tests with branch coverage, and the least it may be
	@$(BIN)/pytest -n 2 --dist loadfile --cov --cov-report=term

bench: $(DEV) ## decode and tick costs as ratios, one table; also against other libraries, after `make peers`
	@$(if $(wildcard $(PEERS)/.installed),$(PEERS)/bin/python,$(BIN)/python) -m bench $(BENCH)

peers: ## cryptofeed and ccxt for `make bench`, in an environment of their own (built here where there is no wheel)
	@rm -rf $(PEERS)
	@$(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/pip --disable-pip-version-check install --quiet --require-hashes --no-deps -r requirements-bench.lock
	@$(PEERS)/bin/pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation -e .
	@touch $(PEERS)/.installed

wheel: $(STAMP) ## dist/: the wheel and the source archive, by the locked build tools
	@rm -rf dist
	@$(BIN)/hatchling build

# One file for all systems and Pythons. Extras are kept (coverage[toml]): without them pip 23.2 and older, let loose on
# the file, look for a version of their own. Versions younger than the cooldown are left to others to find out about.
compile = $(UV) pip compile --quiet --universal --generate-hashes --no-strip-extras --no-annotate --no-header --no-emit-index-url \
  --python-version 3.11 --exclude-newer '$(COOLDOWN)' pyproject.toml

lock: ## lock what pyproject.toml asks for, all other versions kept (needs uv)
	@command -v $(UV) >/dev/null || { echo "make $@ needs uv: pipx install uv, or make UV=/path/to/uv $@ (docs/install.md)"; exit 2; }
	$(compile) --group dev -o requirements-dev.lock $(newest)
	$(compile) --group build --constraint requirements-dev.lock -o requirements.lock $(newest)
	$(compile) --group build --group bench -o requirements-bench.lock $(newest)

upgrade: newest = --upgrade
upgrade: lock ## lock the newest versions that are a week old (needs uv)

clean: ## remove what make installed and built
	rm -rf $(VENV) $(PEERS) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
