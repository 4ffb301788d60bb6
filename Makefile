# Everything a newcomer needs; each target does its own setting up. PYTHON is any Python 3.11+.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: help setup demo test differential fuzz lint bench wheel clean

help: ## list these targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

setup: $(VENV)/.installed ## a virtual environment with the locked dependencies

$(VENV)/.installed: requirements.lock pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "This Python has no venv module; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## a real OpenSearch, the proxy and the showcase; ARGS=--once ends after it
	$(BIN)/querymill demo $(ARGS)

test: setup ## every check and test, on a real OpenSearch; prints the coverage
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/coverage erase
	$(BIN)/python -m tests $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

differential: setup ## over 10,000 random calls, direct and through the proxy, on both backends
	QUERYMILL_TEST_CALLS=5200 $(BIN)/python -m pytest tests/differential

fuzz: setup ## a million random inputs for every parser of what comes from outside
	$(BIN)/python -m tests.fuzz $(ARGS)

lint: setup ## the checks alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: setup ## measure; writes docs/BENCHMARKS.md
	$(BIN)/python -m bench $(ARGS)

wheel: setup ## a wheel in dist/, with the built sandbox in it
	rm -rf build
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .

clean: ## remove what the targets made here (the download cache stays)
	rm -rf $(VENV) build dist .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
