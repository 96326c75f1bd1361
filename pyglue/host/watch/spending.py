"""Every agent's recent cost: by hour for the last day, and in the last 60 minutes.

The overview shows both for every agent, so each is read by one query for all agents and
cached for some seconds, or until a turn ends. The hours come from the metrics, which
are written when a turn ends; the last 60 minutes come from the relay, so that a long
turn shows while it runs.
"""

import time
from dataclasses import dataclass, field
from typing import Final

from pyglue.api.events import Event, TurnEnded
from pyglue.host.core.events import EventBus
from pyglue.store import metrics, usage
from pyglue.store.database import Reader, Store

HOURS: Final = 24
_HOUR_S: Final = 3600
_KEPT_S: Final = 15.0
_WRITTEN_S: Final = 1.0
"""A turn's metrics are written up to this long after its end."""
_DIGITS: Final = 4


@dataclass(frozen=True, kw_only=True)
class Recent:
    """US dollars by agent; ``hours`` has only agents that had a cost.

    ``hours`` ends with the current hour; ``hour`` is the last 60 minutes.
    """

    hours: dict[str, tuple[float, ...]]
    hour: dict[str, float]


@dataclass(kw_only=True)
class Spending:
    """Reads the recent cost of all agents, and caches it briefly."""

    store: Store
    bus: EventBus
    _kept: Recent | None = field(default=None, init=False)
    _read_at: float = field(default=0.0, init=False)
    _ended_at: float = field(default=float("-inf"), init=False)

    def __post_init__(self) -> None:
        self.bus.listen(self._heard)

    def _heard(self, event: Event) -> None:
        if event.kind == TurnEnded.KIND:
            self._ended_at = time.monotonic()

    async def read(self) -> Recent:
        """Return the recent cost, at most ``_KEPT_S`` seconds old."""
        now = time.monotonic()
        if (
            self._kept is not None
            and now - self._read_at < _KEPT_S
            and self._read_at > self._ended_at + _WRITTEN_S
        ):
            return self._kept
        self._kept = await self.store.read(recent)
        self._read_at = now
        return self._kept


def recent(reader: Reader) -> Recent:
    """Read the recent cost of all agents from the store."""
    now = time.time()
    begin = (int(now // _HOUR_S) - HOURS + 1) * _HOUR_S
    hours: dict[str, list[float]] = {}
    for agent, at, cost in metrics.costs(reader, since=begin, step=_HOUR_S):
        place = int(at - begin) // _HOUR_S
        if cost > 0 and place < HOURS:
            hours.setdefault(agent, [0.0] * HOURS)[place] = round(cost, _DIGITS)
    return Recent(
        hours={agent: tuple(found) for agent, found in hours.items()},
        hour=usage.spent_between(reader, now - _HOUR_S, now),
    )
