# Everything runs in .venv; `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := embedded,test,check,bench
export PYTHONPATH := src:.

.PHONY: help check test test-long demo wheel bench clean

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

$(VENV)/ready: setup.cfg
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: this needs Python 3.11 or newer with venv: apt install python3-venv"; exit 1; }
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

## make test      the tests (below 15 minutes)
test: $(VENV)/ready
	$(BIN)/pytest

clean:
	rm -rf build dist src/*.egg-info .mypy_cache .ruff_cache .import_linter_cache
