"""Record the results of nixpkgs' own lib for every case of the corpus.

``python -m checks.nix.record --lib PATH`` (PATH: the `lib` directory of a nixpkgs)
writes each case's expected.json, the expected values of lib_cases.nix, and the list
of names that lib has (modules/eval/lite/names.nix). Run it by hand when a case is
added, and review the diff. The tests then need no nixpkgs.

A good case must also come out the same from a plain evalModules of the options and
agent.nix, and a bad one fail there too, unless it is bad by the hive's own rules.
"""

import argparse
import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Final

from checks.nix import outcome

NAMES: Final = outcome.ROOT / "modules/eval/lite/names.nix"
SPACES: Final = (
    *("asserts", "attrsets", "lists", "modules"),
    *("options", "strings", "trivial", "versions"),
)
# Kinds of error that a plain evalModules does not have.
OWN_RULES: Final = {"refused", "module", "argument", "config"}


def record_cases(lib: Path) -> list[str]:
    """Write expected.json of every case; return sentences about what is wrong."""
    wrong = []
    names = sorted(outcome.case_names(), key=lambda name: name != outcome.BASE)
    for name, expected in outcome.evaluate_all(names, lib).items():
        plain = outcome.run(
            outcome.HERE / "plain.nix",
            ["--arg", "agent", str(outcome.CASES / name)],
            lib,
        )
        if "error" not in expected and plain != {"hyperhive": expected["manifest"]}:
            wrong.append(f"{name}: a plain evalModules says {json.dumps(plain)}")
        kind = expected.get("error", {}).get("kind")
        if kind not in OWN_RULES and ("error" in expected) != ("error" in plain):
            wrong.append(f"{name}: a plain evalModules disagrees about the error")
        if name.startswith("bad") != ("error" in expected):
            wrong.append(f"{name}: {json.dumps(expected)}")
        outcome.write_expected(name, expected)
    return wrong


def record_lib_cases(lib: Path) -> None:
    """Write the values of lib_cases.nix as nixpkgs' lib gives them."""
    found = outcome.run(outcome.HERE / "lib_cases.nix", [], lib)
    text = json.dumps(found, indent=2) + "\n"
    (outcome.HERE / "lib_cases.json").write_text(text)


def record_names(lib: Path) -> None:
    """Write the names that nixpkgs' lib and its parts have."""
    spaces = " ".join(f'"{space}"' for space in SPACES)
    expression = f"""
      let lib = import {lib}; in {{
        top = builtins.attrNames lib;
        types = builtins.attrNames lib.types;
        spaces = lib.genAttrs [ {spaces} ] (space: builtins.attrNames lib.${{space}});
      }}"""
    done = subprocess.run(
        ["nix-instantiate", "--eval", "--strict", "--json", "--expr", expression],
        check=True,
        capture_output=True,
    )
    names = json.loads(done.stdout)
    lines = [
        "# What nixpkgs' lib has, written by checks/nix/record.py: what lite.nix lacks",
        "# of it, it names.",
        "{",
        *(nix_list("top", names["top"]), nix_list("types", names["types"])),
        *(nix_list(f"spaces.{name}", names["spaces"][name]) for name in SPACES),
        "}",
    ]
    NAMES.write_text("\n".join(lines) + "\n")


def nix_list(attribute: str, names: list[str]) -> str:
    """Write ``attribute = [ names ];`` in lines of at most 88 columns."""
    words = " ".join(f'"{name}"' for name in names)
    body = textwrap.fill(words, 84, break_long_words=False, break_on_hyphens=False)
    return f"  {attribute} = [\n{textwrap.indent(body, '    ')}\n  ];"


def main() -> int:
    """Record everything; exit status 1 when a case is not what its name says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--lib", type=Path, required=True, help="nixpkgs' lib directory"
    )
    lib = parser.parse_args().lib.resolve()
    record_names(lib)
    record_lib_cases(lib)
    wrong = record_cases(lib)
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
