"""What every agent cost lately: hour by hour for a day, and within the last hour.

The overview shows both of every agent, so one query reads each for all of them, and the
answer is kept until a turn ends, or for some seconds. The hours are of the metrics,
which are written when a turn ends; the last hour is what the relay counted, so that a
long turn shows while it runs.
"""

import time
from dataclasses import dataclass, field
from typing import Final

from pyglue.api.events import Event, TurnEnded
from pyglue.host.core.events import EventBus
from pyglue.store import stats, usage
from pyglue.store.database import Reader, Store

HOURS: Final = 24
_HOUR_S: Final = 3600
_KEPT_S: Final = 15.0
_WRITTEN_S: Final = 1.0
"""A turn's metrics are written after its end; what is read sooner may lack them."""
_DIGITS: Final = 4


@dataclass(frozen=True, kw_only=True)
class Recent:
    """Dollars by agent; ``hours`` has an entry only where there was a cost.

    The last of ``hours`` is the hour that has begun, ``hour`` the last 60 minutes.
    """

    hours: dict[str, tuple[float, ...]]
    hour: dict[str, float]


@dataclass(kw_only=True)
class Spending:
    """Reads what agents cost lately, and keeps it for a moment."""

    store: Store
    bus: EventBus
    _kept: Recent | None = field(default=None, init=False)
    _read_at: float = field(default=0.0, init=False)
    _ended_at: float = field(default=float("-inf"), init=False)

    def __post_init__(self) -> None:
        self.bus.listen(self._heard)

    def _heard(self, event: Event) -> None:
        if isinstance(event.read(), TurnEnded):
            self._ended_at = time.monotonic()

    async def read(self) -> Recent:
        """Return it; at most some seconds old."""
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
    """Read what all agents cost lately."""
    now = time.time()
    begin = (int(now // _HOUR_S) - HOURS + 1) * _HOUR_S
    hours: dict[str, list[float]] = {}
    for agent, at, cost in stats.costs(reader, since=begin, step=_HOUR_S):
        place = int(at - begin) // _HOUR_S
        if cost > 0 and place < HOURS:
            hours.setdefault(agent, [0.0] * HOURS)[place] = round(cost, _DIGITS)
    return Recent(
        hours={agent: tuple(found) for agent, found in hours.items()},
        hour=usage.spent_between(reader, now - _HOUR_S, now),
    )
