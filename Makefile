# Two commands do everything on a machine with Python and make: `make demo`, `make test`.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable
# One thread for each of two processes: small layers on more mostly wait for each other.
PYTEST := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest --numprocesses 2 \
	--dist loadfile --no-loadscope-reorder

.PHONY: demo test test-rest test-all lint clean

demo: .venv/installed
	$(BIN)/erfscope demo --out demo --overwrite

# The tests that catch most breaks, in minutes; and what they leave.
test: .venv/installed-test
	$(PYTEST) --tier fast

test-rest: .venv/installed-test
	$(PYTEST) --tier rest

test-all: test test-rest

lint: .venv/installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/deptry .

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	$(INSTALL) .
	touch $@

.venv/installed-%: pyproject.toml constraints.txt | .venv/bin/python
	$(INSTALL) '.[$*]'
	touch $@

clean:
	rm -rf .venv demo build dist .pytest_cache .mypy_cache .ruff_cache
