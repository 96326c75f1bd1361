"""``python -m checks.bench [--json] [NAME …]``: run benchmarks, print their figures."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from checks.bench import mail, proposal, start, turn
from checks.bench.measure import Figure, progress
from checks.bench.report import as_json, as_table

BENCHMARKS: Final[Mapping[str, Callable[[], Awaitable[Figure]]]] = {
    mail.NAME: mail.bench,
    proposal.NAME: proposal.bench,
    turn.NAME: turn.bench,
    start.NAME: start.bench,
}


async def _run(names: list[str]) -> list[Figure]:
    figures = []
    for name in names:
        progress(f"[{name}]")
        figures.append(await BENCHMARKS[name]())
    return figures


def main() -> None:
    """Run what was named, or all."""
    parser = argparse.ArgumentParser(prog="checks.bench", description="Measure speed.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    asked = parser.parse_args()
    known = ", ".join(BENCHMARKS)
    unknown = sorted(set(asked.names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {known}")
    figures = asyncio.run(_run(asked.names or list(BENCHMARKS)))
    print(as_json(figures) if asked.json else as_table(figures))


if __name__ == "__main__":
    main()
