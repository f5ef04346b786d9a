# Every target sets up its own environment: a fresh machine needs only Python >= 3.11 with venv, and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO_STAMP := $(VENV)/.demo-installed
DEMO := runs/demo

.PHONY: demo benchmark test check format lint types unit install clean

install: $(STAMP)

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

$(DEMO_STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[demo]'
	touch $@

# One model, six tasks: 15 minutes of training on two cores, then the evaluation. DEMO=folder of the results. An
# interrupted demo goes on; a finished one is evaluated again.
demo: $(DEMO_STAMP)
	$(BIN)/uniperceiver demo --out $(DEMO) $(if $(wildcard $(DEMO)/checkpoint),--resume)

# The table of docs/performance.md. ARGUMENTS=--quick for orders of magnitude.
benchmark: $(STAMP)
	$(BIN)/python benchmarks/table.py $(ARGUMENTS)

test: check unit

check: lint types

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

# One thread per process: the tests are many small computations, and two processes use two cores better than threads.
unit: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
