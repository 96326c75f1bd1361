"""``make fuzz``: run the targets for long, print the table, write it as JSON."""

import argparse
import asyncio
import json
import secrets
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from checks.fuzz.kit import Lab, Tally, Target, Trial, Verdict, run
from checks.fuzz.table import TARGETS
from pyglue.cli.output.show import table
from pyglue.process import raise_open_files


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make fuzz ARGS=", description=__doc__)
    names = [target.name for target in TARGETS]
    add = parser.add_argument
    add("--target", action="append", choices=names, help="only these; may be repeated")
    add("--seconds", type=float, default=0.0, help="go on for this long, in all")
    add("--count", type=int, help="cases of each target, in place of its own number")
    add("--quick", action="store_true", help="as many cases as `make test` tries")
    add("--seed", type=int, help="run again what a run with this seed tried")
    add("--case", type=int, help="only this case")
    add("--json", type=Path, help="write the results here; its other targets stay")
    return parser.parse_args(argv)


async def attack(
    targets: Sequence[Target], asked: argparse.Namespace, seed: int
) -> dict[str, Tally]:
    """Run the targets one after the other."""
    found: dict[str, Tally] = {}
    each = asked.seconds / max(1, len(targets))
    with tempfile.TemporaryDirectory(prefix="hive-fuzz-") as name:
        path = Path(name)
        path.chmod(0o755)
        lab = Lab(path)
        try:
            for target in targets:
                count = asked.count or (target.quick if asked.quick else target.long)
                trial = Trial(
                    name=target.name,
                    seed=seed,
                    count=0 if asked.seconds else count,
                    lab=lab,
                    until=time.monotonic() + each if asked.seconds else 0.0,
                    only=asked.case,
                )
                found[target.name] = tally = await run(target, trial)
                for wrong in tally.wrongs:
                    print(wrong, flush=True)
                took = f"{tally.tried} in {tally.seconds:.0f} s"
                print(f"{target.name}: {took}", flush=True)
        finally:
            await lab.close()
    return found


def results(found: dict[str, Tally], seed: int, before: str) -> str:
    """Return the results as JSON; targets of ``before`` that did not run stay."""
    known: dict[str, Any] = json.loads(before) if before else {}
    for name, tally in found.items():
        known[name] = {"seed": seed, "tried": tally.tried, **tally.counts}
    ordered = {t.name: known[t.name] for t in TARGETS if t.name in known}
    return json.dumps(ordered, indent=1) + "\n"


def shown(found: dict[str, Tally]) -> str:
    """Return the results as a table."""
    rows: list[Sequence[str]] = [("TARGET", "TRIED", *(v.upper() for v in Verdict))]
    for name, tally in found.items():
        counts = (str(tally.counts[verdict]) for verdict in Verdict)
        rows.append((name, str(tally.tried), *counts))
    return table(rows)


def main(argv: list[str] | None = None) -> int:
    """Attack; exit code 1 if a case went wrong."""
    asked = parse(argv)
    seed = secrets.randbelow(2**32) if asked.seed is None else asked.seed
    raise_open_files()
    print(f"seed {seed}", flush=True)
    chosen = [t for t in TARGETS if asked.target is None or t.name in asked.target]
    found = asyncio.run(attack(chosen, asked, seed))
    print(shown(found))
    if asked.json is not None:
        before = asked.json.read_text() if asked.json.exists() else ""
        asked.json.write_text(results(found, seed, before))
    return int(any(tally.wrongs for tally in found.values()))


if __name__ == "__main__":
    sys.exit(main())
