# Every target sets up what it needs, once, and says so. `make help` lists them.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help bench bench-load demo up stack demo-stack secrets test test-fast test-stack faults check-compose golden check audit-packages lock clean temporal browser

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/token-fulfillment
# Two processes, each with a Temporal server of its own; the tests of a file stay together.
SIDE_BY_SIDE := -n 2 --dist loadfile
LOCKED := --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --quiet
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

help: ## List the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 18

demo: temporal ## A hard and a soft token from request to Active, a replacement and a return, watched (KEEP=1 leaves the stack up)
	@$(BIN)/tokens demo $(if $(KEEP),--keep)

up: temporal ## The embedded stack; stays up until Ctrl-C
	@exec $(BIN)/tokens up

stack: temporal ## What docker-compose.yml describes, without Docker: PostgreSQL, Temporal, two workers and the rest; until Ctrl-C
	@exec $(BIN)/python -m tools.production $(if $(JSON),--json)

demo-stack: temporal ## The demo on what docker-compose.yml describes, while both workers are replaced by the next build
	@$(BIN)/python -m tools.production.demo

secrets: ## Make the secrets that docker-compose.yml names, once, in secrets/
	@$(PYTHON) tools/make_secrets.py

test: temporal browser ## All tests, on a real Temporal server
	@$(BIN)/pytest -q $(SIDE_BY_SIDE)

test-fast: temporal ## All tests but those marked slow
	@$(BIN)/pytest -q $(SIDE_BY_SIDE) -m "not slow"

test-stack: temporal ## The journeys' tests on Temporal as in production, with PostgreSQL under it and under the application
	@TEST_STACK=1 $(BIN)/pytest -q tests/journeys

faults: temporal ## 200 journeys while everything is killed, cut off, hung, filled up and put out of time; then the counts (SEED=, REPORT=file)
	@$(BIN)/python -m tools.faults $(if $(SEED),--seed $(SEED)) $(if $(REPORT),--report $(REPORT)) \
		$(if $(JOURNEYS),--journeys $(JOURNEYS)) $(if $(TIMES),--times $(TIMES))

check-compose: $(READY) ## Have Docker Compose itself read docker-compose.yml (built once where it is not installed)
	@$(BIN)/python -m tools.compose_config

bench: temporal ## What it costs, as ratios (docs/performance.md), under 15 minutes; ONLY=journeys,lists and so on measures these parts
	@$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(SIZE),--size $(SIZE)) $(if $(QUICK),--quick)

bench-load: temporal ## Load 100,000 open journeys once, for make bench to measure at (COUNT=20000 for fewer); takes minutes, and is kept
	@$(BIN)/python -m benchmarks.load $(COUNT)

golden: temporal ## Record the histories and tables of this release, for tests of later ones (RELEASE=x.y.z)
	@test -n "$(RELEASE)" || { echo "Say which release: make golden RELEASE=0.2.0" >&2; exit 1; }
	@test ! -e tests/replay/golden/$(RELEASE) || { echo "Release $(RELEASE) is recorded already, and stays so." >&2; exit 1; }
	@GOLDEN=$(RELEASE) $(BIN)/pytest -q tests/replay/test_replay.py tests/replay/test_endings.py \
		tests/replay/test_process_queue.py tests/replay/test_import.py
	@$(BIN)/python -m tests.database.frozen $(RELEASE)

check: $(READY) ## Lint, format, types, and the rules of the project
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright
	@$(BIN)/python tools/check_project.py

audit-packages: $(READY) ## Ask for known vulnerabilities of what requirements.lock pins
	@$(BIN)/python tools/audit_packages.py

lock: $(READY) ## Work requirements.lock out anew from pyproject.toml, and from it what the image needs
	@echo "Locking what pyproject.toml asks for, with hashes."
	@$(BIN)/uv pip compile pyproject.toml --group dev --upgrade $(LOCKED) --output-file requirements.lock
	@$(BIN)/uv pip compile pyproject.toml --group build --constraints requirements.lock $(LOCKED) \
		--output-file requirements-runtime.lock

clean: ## Undo what the others made here: .venv, .local, caches
	@if [ -f .local/stack.json ] && kill -0 "$$(sed -nE 's/.*"stack": *([0-9]+).*/\1/p' .local/stack.json)" 2> /dev/null; then \
		echo "A stack is running on .local; end it first." >&2; exit 1; fi
	@rm -rf .venv .local .pytest_cache .ruff_cache .hypothesis build *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "Removed .venv, .local, caches and build leftovers. The Temporal server stays in $(CACHE), and Go's caches where Go keeps them."

temporal: $(READY)
	@$(BIN)/python -m starter.temporal_binary > /dev/null

browser: $(READY)
	@$(BIN)/python tools/browser.py > /dev/null

# A .venv that is there is kept if its Python still works, and made anew otherwise.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null \
		|| { echo "Python 3.11 or newer is needed, and $(PYTHON) is not; install it, or name it: make PYTHON=python3.12" >&2; exit 1; }
	@$(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || { \
		echo "Making the virtual environment .venv."; \
		$(PYTHON) -m venv --clear .venv || { echo "It could not be made; on Debian and Ubuntu install python3-venv." >&2; exit 1; }; }
	@echo "Installing the packages of requirements.lock, each checked by its hash."
	@$(PIP) install --require-hashes --no-deps -r requirements.lock
	@echo "Installing this project, editable."
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@
