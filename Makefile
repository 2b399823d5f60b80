# Two commands do all: `make run` shows the product at work, `make test` proves it.
# Both make .venv on the first call. ARGS go to the program: make run ARGS="--for 30"

VENV   := .venv
BIN    := $(VENV)/bin
PYTHON ?= $(shell sh deploy/find-python.sh)
TESTS  ?= tests streams models edge api
PIN    := -q --upgrade --strip-extras --no-header --no-annotate --no-emit-index-url --no-emit-find-links --no-emit-trusted-host

.PHONY: run test chaos check format pins rtsp-server postgres clean help

run: $(VENV)/.run ## Start the demo: simulated cameras, events into an embedded server, status page
	@exec $(BIN)/sharpeyes demo $(ARGS)

test: $(VENV)/.test rtsp-server postgres ## Run every test, with coverage
	$(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=term --cov-config=pyproject.toml $(ARGS) $(TESTS)

chaos: $(VENV)/.test postgres ## Run the long form of the chaos tests: fifty kills of each part, an hour or two
	SHARPEYES_CHAOS=long $(BIN)/python -m pytest -s $(ARGS) tests/chaos

check: $(VENV)/.test ## Run the static gate: format, lint, types, architecture
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.test ## Format the code and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

rtsp-server:
	@sh tests/support/install-rtsp.sh

postgres:
	@sh tests/support/install-postgres.sh

$(VENV)/bin/python:
	@sh deploy/make-venv.sh "$(PYTHON)" $(VENV)

$(VENV)/.run: $(VENV)/bin/python requirements/run.txt pyproject.toml
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements/run.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.test: $(VENV)/.run requirements/test.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements/test.txt
	@touch $@

pins: $(VENV)/.test ## Pin what pyproject.toml and requirements/test.in ask for
	$(BIN)/python -m pip install -q pip-tools
	$(BIN)/pip-compile $(PIN) -o requirements/run.txt pyproject.toml
	$(BIN)/pip-compile $(PIN) -o requirements/test.txt requirements/test.in

clean: ## Remove what was built and installed here
	rm -rf $(VENV) build dist ./*.egg-info .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

help: ## List the commands
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 10
