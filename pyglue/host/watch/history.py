"""The history of every agent: adding, reading and pruning events.

A harness can report anything, so this module decides how much is kept: an event that is
too large is replaced by a note, events that arrive too fast are dropped, and an agent's
history has a maximum size. Housekeeping prunes old or excess events in small steps, so
that no message waits for it.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import msgspec

from pyglue.api.events import TurnEvent
from pyglue.api.metrics import HistoryPage, HistoryParams
from pyglue.api.turn_events import Log, TurnEventKind
from pyglue.api.turns import TurnEventParams
from pyglue.config import Quotas, Retention
from pyglue.host.core.events import EventBus
from pyglue.host.core.registry import Registry
from pyglue.host.core.token_bucket import TokenBucket
from pyglue.host.watch.raw_json import problem_with
from pyglue.limits import MIB
from pyglue.store import events, history, metrics
from pyglue.store.database import Reader, Store, Tx

EVENT_MAX: Final = 128 * 1024
"""Maximum bytes of one event's data; a harness truncates its own far below that."""
BURST: Final = 16 * 1024 * 1024
RATE: Final = 256 * 1024
"""Bytes that an agent may report: at once (``BURST``), and per second (``RATE``)."""
EVENT_COST: Final = 256
"""Bytes that each event counts for in addition to its data, for its row."""
EVENTS_KEPT: Final = 20_000
"""Newest events kept whatever their age, so that readers can continue."""
_CHUNK: Final = 500
_DAY_S: Final = 86400.0


@dataclass(frozen=True, kw_only=True)
class History:
    """Writes, reads and prunes events."""

    store: Store
    registry: Registry
    bus: EventBus
    retention: Retention
    size_max: int = Quotas().history_mib * MIB
    clock: Callable[[], float] = time.monotonic
    _buckets: dict[str, TokenBucket] = field(default_factory=dict, init=False)
    _lost: Counter[str] = field(default_factory=Counter, init=False)

    def add(self, agent: str, params: TurnEventParams) -> bool:
        """Store a live event of an agent's turn, and publish it to subscribers.

        Returns False if it arrived too fast and was dropped.
        """
        size = len(bytes(params.data))
        kind, data = params.kind, params.data
        if size > EVENT_MAX:
            data = _text(f"(This event of {size} bytes was too large to keep.)")
            size = EVENT_MAX  # it still counts towards the rate
        elif wrong := problem_with(data):
            data = _text(f"(This event {wrong} and is not kept.)")
        bucket = self._buckets.setdefault(agent, TokenBucket(BURST, RATE))
        if not bucket.take(size + EVENT_COST, self.clock()):
            self._lost[agent] += 1
            return False
        lost = self._lost.pop(agent, 0)
        if lost:
            text = f"{lost} events arrived too quickly and were dropped."
            self._emit(agent, params.turn, TurnEventKind.LOG, _text(text))
        self._emit(agent, params.turn, kind, data)
        return True

    def _emit(self, agent: str, turn: int | None, kind: str, data: msgspec.Raw) -> None:
        event = TurnEvent(turn=turn, kind=kind, data=data.copy())  # not its whole line
        self.store.emit(agent, event)

    async def read(self, params: HistoryParams) -> HistoryPage:
        """Return a page of an agent's history.

        Raises:
            HiveError: ``not_found``.
        """
        agent = self.registry.get(params.agent).name
        newest = self.bus.last_seq  # later events may be sent twice, but never missed
        found = await self.store.read(
            partial(
                history.page,
                agent=agent,
                before=params.before,
                after=params.after,
                limit=params.limit,
            )
        )
        last = found.events[-1].seq if found.events else 0
        ahead = found.more and params.after is not None
        return HistoryPage(
            events=found.events,
            seq=last if ahead else max(last, newest),
            more=found.more,
            is_cut=found.is_cut,
        )

    async def prune(self) -> None:
        """Prune old and excess events, in small transactions."""
        now, kept = time.time(), self.retention
        newest = self.bus.last_seq - EVENTS_KEPT

        def bounds(reader: Reader) -> tuple[int, int]:
            return (
                history.seq_before(reader, now - kept.history_days * _DAY_S),
                history.seq_before(reader, now - kept.events_days * _DAY_S),
            )

        turns, others = await self.store.read(bounds)
        by_age = partial(
            history.prune_age,
            history=min(turns, newest),
            others=min(others, newest),
            most=_CHUNK,
        )
        await self._repeat(by_age)
        for agent, size in (await self.store.read(history.sizes)).items():
            excess = size - self.size_max
            while excess > 0:
                by_size = partial(
                    history.prune_size, agent=agent, excess=excess, most=_CHUNK
                )
                excess -= await self.store.write(by_size) or excess
        await self._repeat(
            partial(metrics.prune, kept_s=kept.stats_days * _DAY_S, most=_CHUNK)
        )

    async def _repeat(self, step: Callable[[Tx], int]) -> None:
        while await self.store.write(step) >= _CHUNK:
            pass

    async def oldest(self) -> int:
        """Return the sequence number from which all events are kept."""
        return await self.store.read(events.oldest_seq)


def _text(text: str) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(Log(text=text)))
