"""Record the results of nixpkgs' own lib for every case of the host module.

``python -m checks.nix.host.record --lib PATH`` (PATH: the `lib` directory of a nixpkgs)
writes expected.json. Run it by hand when the module or a case changes, and review the
diff. The tests then need no nixpkgs.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from checks.nix import outcome, snapshots

HERE: Final = Path(__file__).resolve().parent
EXPECTED: Final = HERE / "expected.json"
_CONFIG: Final = re.compile(r"/nix/store/[0-9a-z]{32}-hyperhive\.json")
BASE: Final = "smallest"
"""The case that the others are recorded as differences from."""


def names() -> list[str]:
    """Return the names of all cases, sorted."""
    file = HERE / "cases.nix"
    expression = (
        f"builtins.attrNames (import {file} {{ lib = import {outcome.LITE}; }})"
    )
    done = subprocess.run(
        [
            *("nix-instantiate", "--eval", "--strict", "--json"),
            *("--store", "dummy://", "--expr", expression),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[str] = json.loads(done.stdout)
    return found


def evaluate(case: str, lib: Path | None = None) -> dict[str, Any]:
    """Evaluate the host module under one case's settings.

    The configuration file's hash is left out: what the file holds is recorded itself,
    so that one changed setting is one changed line.
    """
    found = outcome.run(HERE / "evaluate.nix", ["--argstr", "case", case], lib)
    return _without_hash(found)


def _without_hash(value: Any) -> Any:
    if isinstance(value, str):
        return _CONFIG.sub("/nix/store/…-hyperhive.json", value)
    if isinstance(value, list):
        return [_without_hash(one) for one in value]
    if isinstance(value, dict):
        return {name: _without_hash(one) for name, one in value.items()}
    return value


def evaluate_all(lib: Path | None = None) -> dict[str, dict[str, Any]]:
    """Evaluate every case: those with an error of type alone, the others in one go."""
    cases = names()
    fine = [case for case in cases if not case.startswith("type-")]
    quoted = " ".join(f'"{case}"' for case in fine)
    expression = f"""
      {{ lib }}:
      builtins.listToAttrs (map (case: {{
        name = case;
        value = import {HERE / "evaluate.nix"} {{ inherit lib case; }};
      }}) [ {quoted} ])"""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        together = pool.submit(outcome.run, Path("--expr"), [expression], lib)
        single = [case for case in cases if case not in fine]
        found = dict(
            zip(single, pool.map(lambda case: evaluate(case, lib), single), strict=True)
        )
        if "error" in together.result():  # one of them says which
            return found | {case: evaluate(case, lib) for case in fine}
        return found | _without_hash(together.result())


def read_expected() -> dict[str, dict[str, Any]]:
    """Read the recorded outcome of every case."""
    recorded = json.loads(EXPECTED.read_text())
    base = recorded[BASE]
    cases = {
        name: snapshots.apply(base, changes)
        for name, changes in recorded.items()
        if name != BASE
    }
    return {BASE: base, **cases}


def write_expected(found: dict[str, dict[str, Any]]) -> None:
    """Record the outcome of every case."""
    base = found[BASE]
    parts = [f"{json.dumps(BASE)}: {json.dumps(base, indent=1, sort_keys=True)}"]
    parts += [
        f"{json.dumps(name)}: {snapshots.dump(snapshots.differences(base, case))}"
        for name, case in sorted(found.items())
        if name != BASE
    ]
    EXPECTED.write_text("{\n" + ",\n".join(parts) + "\n}\n")


def main() -> int:
    """Record every case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--lib", type=Path, required=True, help="nixpkgs' lib directory"
    )
    found = evaluate_all(parser.parse_args().lib.resolve())
    write_expected(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
