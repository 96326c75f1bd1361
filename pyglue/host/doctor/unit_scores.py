"""How exposed systemd considers the hive's units: ``systemd-analyze security``."""

import os
import re
from typing import Final

from pyglue.api.exposure import UnitScore
from pyglue.errors import HiveError
from pyglue.process import find_program, run

_OVERALL: Final = re.compile(r"Overall exposure level for (\S+): ([0-9.]+)")
_ANALYZE_S: Final = 60.0


async def scores(units: tuple[str, ...]) -> tuple[UnitScore, ...]:
    """Ask systemd about ``units``; a missing score is reported as a problem."""
    if not units:
        return ()
    try:
        done = await run(
            [find_program("systemd-analyze"), "security", "--no-pager", *units],
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
            timeout=_ANALYZE_S,
        )
    except HiveError as error:
        return tuple(
            UnitScore(unit=unit, score=None, problem=error.message) for unit in units
        )
    found = dict(_OVERALL.findall(done.stdout.decode("utf-8", "replace")))
    return tuple(_score(unit, found.get(unit)) for unit in units)


def _score(unit: str, found: str | None) -> UnitScore:
    if found is None:
        return UnitScore(
            unit=unit, score=None, problem="systemd-analyze reports no score for it."
        )
    return UnitScore(unit=unit, score=float(found))
