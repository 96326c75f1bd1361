"""lite.nix has the same results as nixpkgs' lib, for every recorded case.

With HIVE_NIXPKGS_LIB set to a nixpkgs' `lib` directory, the recorded answers are
also compared with that lib.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import jsonschema
import msgspec
import pytest

from checks.nix import outcome
from pyglue.manifest.types import Manifest

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent.parent
NAMES: Final = outcome.case_names()
LACKING: Final = {
    "lite-lacks-toposort": "lib.toposort",
    "lite-lacks-space": "lib.strings.toCamelCase",
    "lite-lacks-generators": "lib.generators",
}
SCHEMA: Final = json.loads((ROOT / "modules/agent/schema.json").read_text())


def libs() -> list[Path | None]:
    """Return the built-in subset, and nixpkgs' lib where there is one."""
    given = os.environ.get("HIVE_NIXPKGS_LIB")
    return [None, Path(given)] if given else [None]


def lib_id(lib: Path | None) -> str:
    """Name a lib in the output of pytest."""
    return "nixpkgs" if lib else "lite"


def expected(name: str) -> dict[str, Any]:
    """Read the recorded outcome of a case."""
    return outcome.read_expected(name)


@pytest.mark.parametrize("lib", libs(), ids=lib_id)
def test_every_case_comes_out_as_recorded(lib: Path | None) -> None:
    found = outcome.evaluate_all(NAMES, lib)
    recorded = {name: expected(name) for name in NAMES}
    if lib is None:
        error = {"kind": "lacking", "option": None}
        recorded |= {name: {"error": error} for name in LACKING}
    different = {name: found[name] for name in NAMES if found[name] != recorded[name]}
    assert different == {}


@pytest.mark.parametrize("lib", libs(), ids=lib_id)
def test_every_lib_function_gives_what_is_recorded(lib: Path | None) -> None:
    found = outcome.run(HERE / "lib_cases.nix", [], lib)
    recorded = json.loads((HERE / "lib_cases.json").read_text())
    assert found == recorded


@pytest.mark.parametrize(("case", "name"), LACKING.items())
def test_a_function_that_lite_lacks_is_named_with_the_way_out(
    case: str, name: str
) -> None:
    done = subprocess.run(
        [
            *("nix-instantiate", "--eval", "--strict", "--store", "dummy://"),
            *(str(outcome.REPORT), "--arg", "agent", str(outcome.CASES / case)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"{name} is not in hyperhive's own subset" in done.stderr
    assert "--nixpkgs-lib PATH" in done.stderr


@pytest.mark.parametrize(
    ("case", "option"),
    [
        ("bad-throw", "hyperhive.model"),
        ("bad-recursion", "hyperhive.model"),
        ("bad-coerce", "hyperhive.prompt"),
        ("bad-pkgs-command", "hyperhive.mcpServers.x.command"),
    ],
)
def test_the_trace_names_the_option_of_any_error(case: str, option: str) -> None:
    found = outcome.evaluate(outcome.CASES / case, trace=True)
    assert found["error"]["option"] == option


def manifests() -> Iterator[tuple[str, dict[str, Any]]]:
    """Give every recorded manifest with the name of its case."""
    for name in NAMES:
        if "manifest" in expected(name):
            yield name, expected(name)["manifest"]


def test_every_manifest_fits_the_schema_and_the_types() -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for name, manifest in manifests():
        assert [error.message for error in validator.iter_errors(manifest)] == [], name
        typed = msgspec.convert(manifest, Manifest)
        assert json.loads(msgspec.json.encode(typed)) == manifest, name


SERVER: Final = {"command": "x", "args": [], "env": {}, "allowedTools": []}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("extra", 1),
        ("model", "haiku\n"),
        ("model", ""),
        ("model", "x" * 101),
        ("description", "two\nlines"),
        ("prompt", "x" * 65537),
        ("allowedTools", ["Bash(git *)"]),
        ("allowedTools", ["mcp__a__b"]),
        ("allowedTools", ["Read"] * 65),
        ("allowedTools", None),
        ("bash", {"allow": ["git status; rm"]}),
        ("bash", {"allow": ["git status\n"]}),
        ("bash", {"allow": ["git  status"]}),
        ("bash", {"allow": [], "deny": []}),
        ("bash", {}),
        ("allowedRecipients", ["Alice"]),
        ("allowedRecipients", ["../x"]),
        ("mcpServers", {"a b": SERVER}),
        ("mcpServers", {"hive": SERVER}),
        ("mcpServers", {"a__b": SERVER}),
        ("mcpServers", {"x" * 65: SERVER}),
        ("mcpServers", {"x": {"command": "x"}}),
        ("mcpServers", {"x": SERVER | {"command": "a b"}}),
        ("mcpServers", {"x": SERVER | {"command": "-x"}}),
        ("mcpServers", {"x": SERVER | {"url": "http://x"}}),
        ("mcpServers", {f"x{n}": SERVER for n in range(33)}),
        ("env", {"A=B": "x"}),
        ("env", {"A\n": "x"}),
        ("env", {"A": 1}),
        ("network", 1),
        ("network", None),
        ("serverTools", ["shell"]),
        ("limits", {}),
        ("autoCompact", 1),
        ("autoCompact", True),
        ("notes", {"maxBytes": 1e9}),
    ],
)
def test_the_schema_refuses(path: str, value: object) -> None:
    good = expected("good-every-option")["manifest"]
    validator = jsonschema.Draft202012Validator(SCHEMA)
    assert not validator.is_valid(good | {path: value})


def test_every_option_says_how_it_widens() -> None:
    kinds = {
        *("none", "behaviour", "change", "add", "enable"),
        *("raise", "dearer", "env", "entry", "access"),
    }

    def check(schema: dict[str, Any], path: str) -> None:
        for name, sub in schema["properties"].items():
            if "x-widens" in sub:
                assert sub["x-widens"] in kinds, path + name
            else:
                check(sub, f"{path}{name}.")

    check(SCHEMA, "")
    check(SCHEMA["properties"]["mcpServers"]["additionalProperties"], "server.")


def test_generated_files_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.generate_manifest", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["template", "manager", "alice"])
def test_the_agents_that_come_with_the_hive_evaluate(name: str) -> None:
    found = outcome.evaluate(ROOT / "agents" / name)
    assert found["nixosOptions"] == []
    jsonschema.validate(found["manifest"], SCHEMA)
