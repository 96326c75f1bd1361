"""``hive doctor --exposure``: every listener of the hive, as a table or as JSON."""

from collections.abc import Sequence

from pyglue.api import operator as api
from pyglue.api.common import NoParams
from pyglue.api.exposure import ExposureResult
from pyglue.cli.output.answer import Answer
from pyglue.cli.output.show import table
from pyglue.jsonrpc import SyncClient
from pyglue.text.display import visible


def exposure(client: SyncClient) -> Answer:
    """List the listeners; exit code 1 if one has a problem."""
    result = client.call(api.EXPOSURE, NoParams())
    return Answer(result, _text(result), int(bool(_problems(result))))


def _problems(result: ExposureResult) -> list[str]:
    named = [
        *((one.name, one.problem) for one in result.listeners),
        *((one.unit, one.problem) for one in result.units),
    ]
    return [f"PROBLEM  {visible(n)}: {visible(why)}" for n, why in named if why]


def _text(result: ExposureResult) -> str:
    rows: list[Sequence[str]] = [("LISTENER", "ADDRESS", "PROCESS", "USER", "MODE", "")]
    for one in result.listeners:
        rows.append(
            (
                visible(one.name),
                visible(one.address),
                visible(one.process),
                one.user or "-",
                one.mode or "-",
                visible(one.reach),
            )
        )
    parts = [table(rows)]
    if result.units:
        scores: list[Sequence[str]] = [("UNIT", "EXPOSURE (0 best, 10 worst)")]
        for unit in result.units:
            shown = "-" if unit.score is None else f"{unit.score:g}"
            scores.append((unit.unit, shown))
        parts.append(table(scores))
    parts += ["\n".join(lines)] if (lines := _problems(result)) else []
    return "\n\n".join(parts)
