"""The versions of nixpkgs that we test with are those of our dependencies."""

import importlib.metadata
import os
import platform
import re
import tomllib
from typing import Final

from packaging.requirements import Requirement

from checks.kits.suite import nixpkgs_python, pins

_PROJECT: Final = tomllib.loads((pins.ROOT / "pyproject.toml").read_text())["project"]
_BESIDE: Final = {"mcp"}
"""Of the tests' clients, since the SDK of the CLI brings it along."""


def _wanted() -> dict[str, Requirement]:
    lines = (
        *_PROJECT["dependencies"],
        *_PROJECT["optional-dependencies"]["dev"],
    )
    return {line.name: line for line in map(Requirement, lines)}


def test_every_dependency_is_pinned_and_nothing_else() -> None:
    ours = {Requirement(line).name for line in _PROJECT["dependencies"]}
    assert pins.read().keys() == ours | _BESIDE
    package = (pins.ROOT / "package.nix").read_text()
    listed = re.search(r"dependencies = map [^\[]*\[([^\]]*)\]", package)
    assert listed is not None
    assert {*re.findall(r'"([a-z0-9-]+)"', listed[1])} == ours


def test_every_pin_is_a_version_that_pyproject_allows() -> None:
    wanted = _wanted()
    for name, version in pins.read().items():
        assert re.fullmatch(r"[0-9]+(\.[0-9]+)+", version), name
        assert wanted[name].specifier.contains(version), (name, version)


def test_the_version_of_the_sdk_is_the_one_of_the_package() -> None:
    package = (pins.ROOT / "package.nix").read_text()
    found = re.search(r'sdk = \{\s*version = "([0-9.]+)"', package)
    assert found is not None
    assert pins.read()["claude-agent-sdk"] == found[1]


def test_a_run_with_pins_has_them() -> None:
    if os.environ.get(pins.IN_USE) != pins.NIXPKGS:
        return  # such a run is another one: --pins=nixpkgs
    have = {name: importlib.metadata.version(name) for name in pins.read()}
    assert have == pins.read()
    assert platform.python_version().startswith(f"{nixpkgs_python.VERSION}.")
