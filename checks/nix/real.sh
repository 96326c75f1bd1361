#!/usr/bin/env bash
# Evaluate everything of hyperhive with a real nixpkgs: package, options, example machine,
# virtual machine, `nix flake check`, and 20 agents through hived's own evaluator. Prints
# the time and memory of each, and what differs from what is recorded of NixOS.
#
#   checks/nix/real.sh --nixpkgs PATH [--only NAME ...]
#
# PATH is a checkout of nixpkgs; any nix from 2.18 on will do (`--only` without flake
# steps from 2.8 on). Needs `make check` once, for the Python environment. Nothing is
# built; derivations go into this machine's store.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec .venv/bin/python -m checks.nix.real "$@"
