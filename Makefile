# Needs Python ≥ 3.11 and make; everything else comes from the hashed locks into .venv.
# Another interpreter: make PYTHON=/path/to/python3.12 install

PYTHON ?= $(shell for name in python3 python3.11 python3.12 python3.13 python; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$name"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
TEST_WORKERS ?= 2
LOCK := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header --quiet

.DEFAULT_GOAL := help
.PHONY: help install dev demo test test-crash test-chaos test-live check format bench lock clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

install: $(VENV)/.installed ## Make .venv with o2c from the lock

dev: $(VENV)/.dev ## The same with everything that tests and checks need

demo: $(VENV)/.installed ## Bill a small company's won deals against the emulators
	@$(BIN)/o2c demo $(DEMO_OPTIONS)

test: $(VENV)/.dev ## Run all tests, files at once by TEST_WORKERS
	@$(BIN)/python -m pytest --numprocesses $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST_OPTIONS)

test-crash: $(VENV)/.dev ## Kill at every recorded point, on both databases
	@O2C_CRASH_POINTS=all $(BIN)/python -m pytest -m crash $(PYTEST_OPTIONS)

test-chaos: $(VENV)/.dev ## Kill PostgreSQL, Prefect server, receiver and drain twenty times under load
	@O2C_CHAOS_ROUNDS=$${O2C_CHAOS_ROUNDS:-20} $(BIN)/python -m pytest tests/chaos/test_rounds.py $(PYTEST_OPTIONS)

test-live: $(VENV)/.dev ## The small recipe against the Stripe sandbox and Salesforce scratch org of the environment or .env
	@O2C_TEST_LIVE=1 $(BIN)/python -m pytest tests/live $(PYTEST_OPTIONS)

check: $(VENV)/.dev ## Lint, formatting, types, import directions
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.dev ## Format and fix what can be fixed
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(VENV)/.dev ## Measure, and print the figures as a table
	@$(BIN)/python -m bench

lock: $(VENV)/.dev ## Resolve the locks again from pyproject.toml
	@$(LOCK) --extra build --output-file requirements.lock
	@$(LOCK) --extra build --extra dev --constraint requirements.lock --output-file requirements-dev.lock

clean: ## Remove .venv and caches; data in .o2c stays
	@rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer found: install one, or name it with PYTHON=…" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) does not run, or is older than 3.11: name another with PYTHON=…" >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python requirements.lock pyproject.toml
	@echo "Installing from requirements.lock (about a minute the first time) …"
	@$(PIP) install --require-hashes --no-deps --only-binary :all: -r requirements.lock
	@$(PIP) install --no-deps --no-index --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed requirements-dev.lock
	@echo "Installing from requirements-dev.lock …"
	@$(PIP) install --require-hashes --no-deps --only-binary :all: -r requirements-dev.lock
	@touch $@
