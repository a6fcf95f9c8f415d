# Each target sets up what it needs: a virtual environment in .venv with exactly the versions of constraints.txt.
# Another interpreter: make test PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: help demo cluster-demo newrelic-demo test serve check bench doctor constraints wheel clean
.DEFAULT_GOAL := help

help: ## show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: $(READY) ## watch a client discover a sample of real data, and keep what it finds
	@$(BIN)/uds-mcp demo

cluster-demo: $(READY) ## watch two servers share a memory while one is killed and Redis stops
	@$(BIN)/uds-mcp cluster-demo

newrelic-demo: $(READY) ## watch a client discover a New Relic account that is simulated here
	@$(BIN)/uds-mcp newrelic-demo

test: $(READY) ## run every test
	@$(BIN)/python -m pytest -q

serve: $(READY) ## serve http://127.0.0.1:8000/mcp
	@$(BIN)/uds-mcp serve --http

doctor: $(READY) ## check settings, sources and limits
	@$(BIN)/uds-mcp doctor

check: $(READY) ## formatting, lint, types, import rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports

bench: $(READY) ## measure what the project promises about speed and memory
	@$(BIN)/python bench/run.py

wheel: $(READY) ## build dist/*.whl
	@$(PIP) wheel -q --no-deps --no-build-isolation --wheel-dir dist .

constraints: $(READY) ## pin the versions that are installed now
	@$(BIN)/python .ci/pins.py > constraints.new
	@mv constraints.new constraints.txt

clean: ## remove the environment and everything built
	@rm -rf $(VENV) dist build .pytest_cache .ruff_cache .hypothesis .import_linter_cache bench/results

# pip is renewed first: older ones know no dependency groups (pip 25.1 and later do).
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) .ci/venv.py $(VENV)
	@$(PIP) install -q 'pip==26.3'
	@$(PIP) install -q -c constraints.txt hatchling
	@$(PIP) install -q -c constraints.txt --no-build-isolation -e '.[redis,newrelic,simulate]' --group dev
	@touch $(READY)
