# Two commands do all: `make run` shows the product at work, `make test` proves it.
# Both make .venv on the first call. ARGS go to the program: make run ARGS="--for 30"

VENV   := .venv
BIN    := $(VENV)/bin
TOOLS  := $(VENV)/tools/bin
PYTHON ?= $(shell sh deploy/find-python.sh)
TESTS  ?= tests streams models edge api
PIN    := -q --upgrade --strip-extras --no-header --no-annotate --no-emit-index-url --no-emit-find-links --no-emit-trusted-host

.PHONY: run test chaos check sbom format pins rtsp-server postgres clean help

run: $(VENV)/.run ## Start the demo: simulated cameras, events into an embedded server, status page
	@exec $(BIN)/sharpeyes demo $(ARGS)

test: $(VENV)/.test rtsp-server postgres ## Run every test, with coverage
	$(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=term --cov-config=pyproject.toml $(ARGS) $(TESTS)

chaos: $(VENV)/.test postgres ## Run the long form of the chaos tests: fifty kills of each part, an hour or two
	SHARPEYES_CHAOS=long $(BIN)/python -m pytest -s $(ARGS) tests/chaos

check: $(VENV)/.test $(TOOLS)/.audit ## Run the static gate: format, lint, types, architecture, known weaknesses
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(TOOLS)/bandit -q -r -c pyproject.toml streams models edge api deploy
	$(TOOLS)/python deploy/audit.py requirements/run.txt

sbom: $(VENV)/.test $(TOOLS)/.audit ## Write the bill of materials, build/sharpeyes.cdx.json
	$(TOOLS)/python deploy/sbom.py --python $(BIN)/python

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

# Of their own environment: what they need is not what the product needs.
$(TOOLS)/.audit: $(VENV)/bin/python requirements/audit.txt
	@test -x $(TOOLS)/python || sh deploy/make-venv.sh $(BIN)/python $(VENV)/tools
	$(TOOLS)/python -m pip install -q --disable-pip-version-check -r requirements/audit.txt
	@touch $@

pins: $(VENV)/.test ## Pin what pyproject.toml and requirements/test.in ask for
	$(BIN)/python -m pip install -q pip-tools
	$(BIN)/pip-compile $(PIN) -o requirements/run.txt pyproject.toml
	$(BIN)/pip-compile $(PIN) -o requirements/test.txt requirements/test.in
	$(BIN)/pip-compile $(PIN) -o requirements/audit.txt requirements/audit.in

clean: ## Remove what was built and installed here
	rm -rf $(VENV) build dist ./*.egg-info .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

help: ## List the commands
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 10
