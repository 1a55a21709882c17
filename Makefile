# The two commands are `make run` and `make test`; everything they need goes into .venv in this folder.

DB ?= onhand.db
PORT ?= 8080
PYTHON ?=
JOBS ?= 3
TESTS ?= tests
ARGS ?=
MINUTES ?= 30
EXAMPLES ?= 300
SEEDS ?= 2000
FROM ?= 1
ROUNDS ?= 20
MOMENTS ?= 300

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet
INSTALL := $(PIP) install --no-cache-dir --require-hashes
EDITABLE := $(PIP) install --no-cache-dir --no-deps --no-build-isolation --editable .
COMPILE := CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe \
	--strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --build-deps-for editable \
	--cache-dir .venv/cache --pip-args --no-cache-dir
CODE := src tests benchmarks
# Of Python's own, ended by Ctrl-C without a page of its insides.
VENV := import runpy, signal; signal.signal(signal.SIGINT, signal.SIG_DFL); runpy.run_module("venv", run_name="__main__")

# Without it a hub takes half as long again to start, and the tests start some two hundred.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help run test fuzz world failover powerloss check bench bench-channels soak lock fmt clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' Makefile
	@echo "settings: PORT=$(PORT) DB=$(DB) PYTHON=python3.x JOBS=$(JOBS) TESTS=$(TESTS) EXAMPLES=$(EXAMPLES) SEEDS=$(SEEDS) ROUNDS=$(ROUNDS) MOMENTS=$(MOMENTS) ARGS=..."

run: .venv/run ## start the hub with its demo account on PORT, data in DB
	@ONHAND_DB='$(DB)' exec $(BIN)/onhand serve --demo --db '$(DB)' --port '$(PORT)' --demo-json demo.json

test: check ## check style and types, then run the whole suite
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS) $(TESTS)

fuzz: .venv/dev ## fuzz every API against its contract for long, EXAMPLES for each operation
	@EXAMPLES='$(EXAMPLES)' $(BIN)/python -m pytest -n $(JOBS) -o faulthandler_timeout=0 $(ARGS) tests/fuzz

world: .venv/dev ## play SEEDS simulated worlds, from seed FROM on; a seed that fails names itself
	@SEEDS='$(SEEDS)' FROM='$(FROM)' $(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS) tests/world

failover: .venv/dev ## kill the primary of two PostgreSQLs under load, ROUNDS times, and print what is lost
	@ROUNDS='$(ROUNDS)' $(BIN)/python -m pytest -s -o faulthandler_timeout=0 $(ARGS) tests/failover

powerloss: .venv/dev ## lose the power at MOMENTS random moments of a hub's life on SQLite (with strace)
	@MOMENTS='$(MOMENTS)' FROM='$(FROM)' $(BIN)/python -m pytest -s -rs -o faulthandler_timeout=0 $(ARGS) tests/powerloss

check: .venv/dev ## check style and types only
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/mypy

bench: .venv/dev ## measure speed and memory beside their limits, in under ten minutes
	@$(BIN)/python -m benchmarks $(ARGS)

bench-channels: .venv/dev ## measure how fast channels are told, in under four minutes
	@$(BIN)/python -m benchmarks.outward $(ARGS)

soak: .venv/dev ## load a hub for MINUTES: its memory must stay flat and its ledger whole
	@$(BIN)/python -m benchmarks.soak --minutes '$(MINUTES)' $(ARGS)

fmt: .venv/dev ## put the code into its form
	@$(BIN)/ruff check --fix $(CODE)
	@$(BIN)/ruff format $(CODE)

lock: .venv/dev ## choose new versions for requirements/*.txt (ARGS=--upgrade for the newest)
	@$(COMPILE) $(ARGS) --output-file requirements/run.txt pyproject.toml
	@$(COMPILE) $(ARGS) --extra dev --constraint requirements/run.txt --output-file requirements/dev.txt pyproject.toml

clean: ## remove everything that was set up; data stays
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis benchmarks/out benchmarks/results.json benchmarks/soak.json benchmarks/run-*
	@find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# A virtual environment knows its own path, so a folder that was moved or copied gets a new one.
ifneq ($(shell cat .venv/home 2>/dev/null),$(CURDIR))
.PHONY: .venv/home
endif

.venv/home:
	@for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
		if $$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "setting up .venv with $$($$python --version)"; \
			$$python -c '$(VENV)' --clear .venv && pwd > .venv/home; exit $$?; \
		fi; \
	done; \
	echo "onhand needs Python 3.11 or newer with its venv module: install one, or name it: make PYTHON=/path/to/python3" >&2; \
	exit 1

.venv/run: .venv/home requirements/run.txt pyproject.toml
	@echo "installing requirements/run.txt"
	@$(INSTALL) --requirement requirements/run.txt
	@$(EDITABLE)
	@touch $@

.venv/dev: .venv/home requirements/dev.txt pyproject.toml
	@echo "installing requirements/dev.txt"
	@$(INSTALL) --requirement requirements/dev.txt
	@$(EDITABLE)
	@touch $@ .venv/run
