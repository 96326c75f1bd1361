# Everything one types. Each target sets up what it needs first (.ci/setup).
# Options for a target go in ARGS: `make demo ARGS=--json`, `make test ARGS='-k broker'`.

PYTHON := .venv/bin/python
# Overridden by `make lint FILES=pyglue/host`.
FILES ?= .

# Four test processes for two cores, the longest files first
# (checks/kits/suite/schedule.py); `make test WORKERS=` runs all in one.
WORKERS ?= -n auto

# Where versions of dependencies matter most: what decodes, talks HTTP, D-Bus or MCP, opens
# repositories and databases; and one story through all of it.
PINNED := checks/unit/project/test_pins.py checks/unit/config checks/unit/jsonrpc \
	checks/unit/strict_json checks/unit/manifest checks/unit/net checks/unit/clock \
	checks/unit/text checks/unit/files checks/unit/models checks/unit/mcp \
	checks/unit/redaction checks/unit/program checks/unit/test_names.py \
	checks/unit/test_startup.py \
	checks/unit/store checks/unit/relay checks/unit/git \
	checks/unit/web/test_main.py checks/unit/web/json/test_prometheus.py \
	checks/e2e/test_change.py

# What evaluates and builds, without whole hives; each release of Debian has another Nix.
EVALUATING := checks/nix/contract checks/nix/host checks/nix/test_corpus.py \
	checks/nix/test_evaluator.py checks/nix/test_flake.py checks/nix/test_snapshots.py \
	checks/nix/test_system.py checks/nix/test_system_build.py checks/unit/nix \
	checks/fuzz/test_nix_attacks.py
NIX_RELEASES := bookworm trixie testing

.PHONY: help run demo check test test-pins test-nix test-vm lint format bench fuzz generate clean

help:
	@echo 'make run       start a hive with its dashboard on port 7000 (HIVE_PORT); Ctrl-C ends it'
	@echo 'make demo      play the whole story without a browser and check its end'
	@echo 'make check     lint, types, unit tests and the Nix corpus, for the loop of a developer'
	@echo 'make test      lint and all tests; says which groups could not run here'
	@echo 'make test-pins a part of the tests with the versions of dependencies that NixOS has'
	@echo 'make test-nix  the tests of Nix with its versions in three releases of Debian'
	@echo 'make test-vm   rules and fences under a kernel that enforces them, in QEMU'
	@echo 'make bench     speed, beside a reference'
	@echo 'make fuzz      attacks on every boundary, counted (ARGS="--seconds 600")'
	@echo 'make lint      ruff and mypy        make format    ruff, changing files'
	@echo 'make generate  schema, types and reference pages from their sources'
	@echo 'make clean     remove what was built; your hive in .hive stays'

run:
	@.ci/setup run
	@echo 'Commands for this hive, in another terminal: ./hive status, ./hive agents, ./hive --help'
	@exec ./hive run $(ARGS)

demo:
	@.ci/setup run
	@exec .venv/bin/hive demo $(ARGS)

test: lint
	@$(PYTHON) -m pytest $(WORKERS) $(ARGS)

test-pins:
	@.ci/setup test
	@$(PYTHON) -m pytest $(WORKERS) --pins=nixpkgs $(PINNED) $(ARGS)

test-nix: $(NIX_RELEASES:%=test-nix-%)

test-nix-%:
	@.ci/setup test
	@$(PYTHON) -m pytest $(WORKERS) --nix=$* $(EVALUATING) $(ARGS)

test-vm:
	@.ci/setup vm
	@exec $(PYTHON) -m checks.vm

check: lint
	@$(PYTHON) -m pytest $(WORKERS) checks/unit checks/nix/test_corpus.py $(ARGS)

lint:
	@.ci/setup test
	@$(PYTHON) -m ruff check $(FILES)
	@$(PYTHON) -m ruff format --check $(FILES)
	@MYPY_NUM_WORKERS=auto $(PYTHON) -m mypy

format:
	@.ci/setup test
	@$(PYTHON) -m ruff check --fix $(FILES)
	@$(PYTHON) -m ruff format $(FILES)

bench:
	@.ci/setup test
	@exec $(PYTHON) -m checks.bench $(ARGS)

fuzz:
	@.ci/setup test
	@exec $(PYTHON) -m checks.fuzz $(ARGS)

generate:
	@.ci/setup run
	@$(PYTHON) -m tools.generate_manifest
	@$(PYTHON) -m tools.generate_host_options
	@$(PYTHON) -m tools.generate_rpc
	@$(PYTHON) -m tools.generate_trust
	@$(PYTHON) -m tools.generate_tools
	@$(PYTHON) -m tools.generate_openapi
	@$(PYTHON) -m tools.generate_security
	@$(PYTHON) -m tools.generate_invisible
	@$(PYTHON) -m tools.generate_events
	@$(PYTHON) -m tools.generate_manual

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
