"""The behaviour of NixOS's real parts, as data to compare the stand-ins with.

``options.json`` has every NixOS option that our modules set or read, with the kind of
its type; ``program.json`` what the real ``nixos-container`` answers to each call (exit
code, words, files, the programs it runs); ``unit.json`` the directives of
``container@.service`` and what its scripts run. They are facts, not source text, made
from a checkout of nixpkgs by a maintainer who reviews the difference:

    python -m checks.nix.contract --nixpkgs PATH

``test_contract.py`` compares the stand-ins of ``checks/nix`` and ``checks/systemd``
with them in every run, so that a stand-in cannot agree with its author alone.
"""
