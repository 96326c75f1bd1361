"""``python -m checks.nix.contract --nixpkgs PATH``: record what the real parts do.

Needs nix, bubblewrap, and Perl with File::Slurp (Debian: libfile-slurp-perl). Review
the difference, and change the stand-ins until ``test_contract.py`` passes.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from checks.nix.contract import options, program, unit

HERE: Final = Path(__file__).resolve().parent
SCRIPT: Final = "pkgs/by-name/ni/nixos-container/nixos-container.pl"


def collect(nixpkgs: Path, revision: str) -> dict[str, Any]:
    """Return the contents of each file, by its name."""
    found = unit.evaluate(nixpkgs)
    return {
        "options": {"revision": revision, "options": options.real(nixpkgs)},
        "program": {
            "revision": revision,
            "calls": program.answers(program.real(nixpkgs / SCRIPT)),
        },
        "unit": {
            "revision": revision,
            "directives": unit.real_directives(found),
            "runs": unit.runs(unit.real(found)),
        },
    }


def read(name: str) -> Any:
    """Return what is recorded under a name."""
    return json.loads((HERE / f"{name}.json").read_text())


def write(name: str, facts: dict[str, Any]) -> None:
    """Record facts, one a line, so that a difference is a few lines."""
    lines = []
    for key, value in facts.items():
        if isinstance(value, dict):
            rows = ",\n".join(
                f"  {json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}"
                for k, v in value.items()
            )
            lines.append(f" {json.dumps(key)}: {{\n{rows}\n }}")
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value)}")
    (HERE / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def _revision(nixpkgs: Path) -> str:
    done = subprocess.run(
        ["git", "-C", str(nixpkgs), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def main() -> int:
    """Record everything."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nixpkgs", type=Path, required=True, help="a checkout")
    parser.add_argument("--revision", help="what it is, if it is no git repository")
    asked = parser.parse_args()
    nixpkgs = asked.nixpkgs.resolve()
    facts = collect(nixpkgs, asked.revision or _revision(nixpkgs))
    for name, part in facts.items():
        write(name, part)
    return 0


if __name__ == "__main__":
    sys.exit(main())
