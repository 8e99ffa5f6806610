# Everything runs in .venv; `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := embedded,test,check,bench
export PYTHONPATH := src:.

.PHONY: help check test test-long demo wheel bench clean

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

NEEDED := make: this needs Python 3.11 to 3.13 with venv: apt install python3-venv

.PHONY: python
python:
	@$(PYTHON) -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || { echo "$(NEEDED)"; exit 1; }

$(VENV)/ready: setup.cfg | python
	$(PYTHON) -m venv $(VENV)
	$(PYTHON) tools/requirements.py $(EXTRAS) | $(BIN)/pip install --quiet --disable-pip-version-check -r /dev/stdin
	@touch $@

## make check     ruff, mypy, import contracts
check: $(VENV)/ready
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/mypy --platform win32 -p deployer_agent
	$(BIN)/lint-imports --no-cache | tail -n 3

## make test      the tests (below 15 minutes); installs .ci/apt.txt where that needs no password
test: $(VENV)/ready
	@$(PYTHON) tools/packages.py .ci/apt.txt
	$(BIN)/pytest

## make test-long every test, the long ones too (below 45 minutes)
test-long: $(VENV)/ready
	@$(PYTHON) tools/packages.py .ci/apt.txt
	$(BIN)/pytest -m "long or not long"

## make demo      a master and an agent on this host until Ctrl-C; ARGS=--once runs one command and ends
demo: | python
	@$(PYTHON) tools/demo.py $(ARGS)

## make wheel     the distribution, into dist/
wheel: $(VENV)/ready
	$(BIN)/python tools/wheel.py dist

## make bench     the measurements, one after the other
bench: $(VENV)/ready
	@for case in bench/*.py; do echo "== $$case"; $(BIN)/python "$$case" || exit 1; done

## make clean     removes what was built, and the demonstration's state
clean:
	rm -rf build dist .demo src/*.egg-info .mypy_cache .ruff_cache .import_linter_cache
