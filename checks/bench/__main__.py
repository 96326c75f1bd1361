"""``python -m checks.bench [--json] [NAME …]``: run benchmarks, print the results."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from checks.bench import (
    burst,
    crash,
    durable,
    egress,
    egress_agents,
    events,
    harness_memory,
    idle,
    mail,
    page,
    parked,
    proposal,
    scale,
    start,
    steering,
    turn,
    warm,
)
from checks.bench.measure import Figure, progress
from checks.bench.report import as_json, as_table

Figures = Figure | tuple[Figure, ...]

BENCHMARKS: Final[Mapping[str, Callable[[], Awaitable[Figures]]]] = {
    mail.NAME: mail.bench,
    proposal.NAME: proposal.bench,
    turn.NAME: turn.bench,
    warm.NAME: warm.bench,
    burst.NAME: burst.bench,
    steering.NAME: steering.bench,
    start.NAME: start.bench,
    idle.NAME: idle.bench,
    crash.NAME: crash.bench,
    parked.NAME: parked.bench,
    harness_memory.NAME: harness_memory.bench,
    durable.NAME: durable.bench,
    events.NAME: events.bench,
    egress.CONNECT: egress.connect,
    egress.THROUGHPUT: egress.throughput,
    egress_agents.AGENTS: egress_agents.bench,
    scale.RECV: scale.recv,
    scale.STATS: scale.stats,
    scale.OVERVIEW: scale.overview,
    page.PAGE: page.page,
    page.BROWSER: page.browser,
}
PARTS: Final[Mapping[str, str]] = {
    **dict.fromkeys((page.PAINT, page.BLOCKED, page.EVENT), page.BROWSER),
    egress_agents.MEMORY: egress_agents.AGENTS,
}
"""Figures that are taken together with others, by the benchmark's name."""


async def _run(names: list[str]) -> list[Figure]:
    figures: list[Figure] = []
    for name in dict.fromkeys(PARTS.get(name, name) for name in names):
        progress(f"[{name}]")
        found = await BENCHMARKS[name]()
        figures.extend(found if isinstance(found, tuple) else (found,))
    return figures


def main() -> None:
    """Run what was named, or all."""
    parser = argparse.ArgumentParser(prog="checks.bench", description="Measure speed.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    asked = parser.parse_args()
    known = ", ".join((*BENCHMARKS, *PARTS))
    unknown = sorted(set(asked.names) - BENCHMARKS.keys() - PARTS.keys())
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {known}")
    figures = asyncio.run(_run(asked.names or list(BENCHMARKS)))
    print(as_json(figures) if asked.json else as_table(figures))


if __name__ == "__main__":
    main()
