# One door for people and for CI. `make help` lists what there is.

PYTHON ?= python3
ARGS ?=
# every folder with Python in it; those that do not exist yet are left out
CODE := $(wildcard src tests alembic scripts benchmarks)

# a thousand modules would be compiled again in every process of ours
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: audit client help ready run demo check test drill bench mutants lock upgrade clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name does; do printf '%-14s %s\n' "$$name" "$$does"; done

ready: ## Make .venv match the locks (every target below does this first)
	@$(PYTHON) scripts/bootstrap.py

run: ready ## Start everything: database, API, worker, payment simulator, mail catcher
	@exec .venv/bin/soko run $(ARGS)

demo: ready ## Play one task from posting to payout on the server that `make run` started, and print each step
	@.venv/bin/soko demo $(ARGS)

check: ready ## Format, lint, types, then the architecture, unit and contract tests
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy $(CODE)
	.venv/bin/python -m pytest $(wildcard tests/architecture tests/unit tests/contract) $(ARGS)

test: ready ## Every test, with real PostgreSQL, Valkey and S3 servers, in three processes (two cores wait a lot)
	.venv/bin/python -m pytest -n 3 --dist worksteal $(ARGS)

drill: ready ## Kill and cut off real processes under load, and ask the oracle; ARGS="--seed 7 --only F1,F2"
	@.venv/bin/python -m tests.drills $(ARGS)

bench: ready ## Measure the hot paths beside a bare server, Django and FastAPI (about 20 min; ARGS="--smoke": 2 min)
	@$(PYTHON) scripts/bootstrap.py peers
	.venv/bin/python -m benchmarks $(ARGS)

client: ready ## Make the TypeScript client from a server of its own, and play a journey with it
	@$(PYTHON) scripts/bootstrap.py client
	@.venv/bin/python scripts/client.py $(ARGS)

audit: ## Ask for known vulnerabilities of the pinned packages; fails where it could not ask
	@$(PYTHON) scripts/bootstrap.py audit
	@$(PYTHON) scripts/audit.py $(ARGS)

mutants: ready ## Take each lock, constraint and signature away in turn and see a test go red (an hour; ARGS="--only ledger")
	@PYTHONPATH=src:. .venv/bin/python -W ignore -m tests.mutants $(ARGS)

lock: ## Resolve requirements/*.in into the locks, keeping versions that still fit
	@$(PYTHON) scripts/bootstrap.py lock

upgrade: ## The same, taking the newest versions
	@$(PYTHON) scripts/bootstrap.py lock --upgrade

clean: ## Delete what can be made again: .venv, .tools and caches; never .data
	rm -rf .venv .tools build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .schemathesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
