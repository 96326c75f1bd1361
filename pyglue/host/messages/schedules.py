"""Schedules: messages that an agent.nix requests at set times.

The deployed record defines what is sent and when. The store keeps when each schedule is
due next, so that messages missed while hived was down or the disk full are sent once
afterwards. A new or changed schedule starts from its deploy. A schedule is skipped
while its last message is unread: an agent that was paused for a week finds one, not
seven. A message and the next due time are written in one transaction, so a crash
neither duplicates nor loses a message.

If the clock was set back far, due times computed from the wrong clock are recomputed.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from typing import Final

from pyglue.api.messages import MessageKind
from pyglue.api.wakeups import ScheduleView
from pyglue.clock import calendar_times, wall_clock
from pyglue.clock.calendar_times import Calendar
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.agent import Agent
from pyglue.host.core.registry import Registry
from pyglue.host.core.transitions import Transitions
from pyglue.host.messages.broker import Broker
from pyglue.manifest.record import PinnedRecord
from pyglue.manifest.types import Manifest
from pyglue.names import SYSTEM
from pyglue.store import messages
from pyglue.store import schedules as rows
from pyglue.store.database import Store, Tx
from pyglue.store.messages import NewMessage
from pyglue.store.schedules import Schedule

_log = logging.getLogger(__name__)
_RETRY_S: Final = 60.0
_LATE_S: Final = 120.0
"""A message later than this mentions the delay."""
_SET_BACK_S: Final = 3600.0
"""If a row was written this far in the future, the clock was wrong then."""
_COUNTED: Final = 100
_SHOWN: Final = 3


def views(
    manifest: Manifest, zone: tzinfo, *, now: float | None = None
) -> tuple[ScheduleView, ...]:
    """Return an agent's schedules with their next times, by name."""
    since = time.time() if now is None else now
    found = []
    for name, one in sorted(manifest.schedule.items()):
        with contextlib.suppress(HiveError):  # perhaps from an older version
            calendar = calendar_times.parse(one.at, zone)
            times = calendar.upcoming(since, _SHOWN)
            shown = tuple(map(calendar.say, times))
            found.append(
                ScheduleView(
                    name=name,
                    at=one.at,
                    message=one.message,
                    next_at=times,
                    times=shown,
                )
            )
    return tuple(found)


@dataclass(frozen=True)
class _Wanted:
    calendar: Calendar
    message: str


@dataclass(frozen=True, kw_only=True)
class Schedules:
    """Tracks when each schedule is due, and sends its messages."""

    store: Store
    registry: Registry
    broker: Broker
    zone: tzinfo
    least_s: float
    """The operator's minimum interval between two messages of a schedule."""
    count: Callable[[str, str], None]
    """Counts a metric of an agent (``Counts.add``)."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _records: dict[str, PinnedRecord | None] = field(default_factory=dict, init=False)

    def connect(self, transitions: Transitions) -> None:
        """Check again whenever an agent is added, removed or deployed."""
        self.registry.listen(self._changed.set)
        transitions.listen(self._heard)

    def _heard(self, agent: Agent) -> None:
        if self._records.get(agent.name) is not agent.record:
            self._changed.set()

    async def watch(self) -> None:
        """Send due messages; runs as long as hived does."""
        while True:
            self._changed.clear()
            wanted, now = self._wanted(), time.time()
            stored = await self.store.write(lambda tx: self._set(tx, wanted))  # noqa: B023
            for row in stored:
                if row.try_at is not None and row.try_at <= now:
                    await self._send(row, wanted[row.key])
            stored = await self.store.write(rows.every)
            moments = [row.try_at for row in stored if row.try_at is not None]
            first = min(moments, default=None)
            await wall_clock.reach(first, self._changed, seen=now)

    def _wanted(self) -> Mapping[tuple[str, str], _Wanted]:
        """Return the schedules of the deployed records, by agent and name."""
        found = {}
        self._records.clear()
        for agent in self.registry.all():
            self._records[agent.name] = record = agent.record
            schedule = {} if record is None else record.typed.schedule
            for name, one in schedule.items():
                try:
                    calendar = calendar_times.parse(one.at, self.zone)
                except HiveError as error:
                    _log.warning("schedule %s of %s: %s", name, agent.name, error)
                    continue
                found[agent.name, name] = _Wanted(calendar, one.message)
        return found

    def _set(
        self, tx: Tx, wanted: Mapping[tuple[str, str], _Wanted]
    ) -> tuple[Schedule, ...]:
        """Store due times of new and changed schedules; remove obsolete ones."""
        known = {row.key: row for row in rows.every(tx)}
        for agent, name in known.keys() - wanted.keys():
            rows.remove(tx, agent, name)
            del known[agent, name]
        for (agent, name), one in wanted.items():
            row, zone = known.get((agent, name)), str(one.calendar.zone)
            same = row is not None and (row.at, row.zone) == (one.calendar.text, zone)
            if same and row is not None and row.set_at <= tx.now + _SET_BACK_S:
                continue
            due_at = one.calendar.after(tx.now)
            new = Schedule(
                agent=agent,
                name=name,
                at=one.calendar.text,
                zone=zone,
                set_at=tx.now,
                due_at=due_at,
                try_at=due_at,
                message=None if row is None else row.message,
            )
            rows.put(tx, new)
            known[agent, name] = new
        return tuple(known.values())

    async def _send(self, row: Schedule, wanted: _Wanted) -> None:
        """Send a due message, unless the last one is unread; set the next due time."""
        now = time.time()
        least = (row.due_at or now) + self.least_s - 1
        next_at = wanted.calendar.after(max(now, least))
        moved = replace(row, set_at=now, due_at=next_at, try_at=next_at)
        new = NewMessage(
            sender=SYSTEM,
            recipient=row.agent,
            body=_body(row, wanted, now),
            kind=MessageKind.EVENT,
        )

        def make(tx: Tx) -> NewMessage:
            self.broker.delivery.charge(tx, row.agent, len(new.body.encode()))
            rows.put(tx, moved)
            return new

        try:
            if await self._unread(row):
                await self.store.write(lambda tx: rows.put(tx, moved))
                self.count(row.agent, "schedule:skipped")
                return
            message = await self.broker.post_with(row.agent, make)
        except HiveError as error:
            if error.code not in (ErrorCode.TOO_MANY, ErrorCode.RATE_LIMITED):
                _log.warning("schedule %s of %s: %s", row.name, row.agent, error)
            again = replace(row, try_at=now + _RETRY_S)
            await self.store.write(lambda tx: rows.put(tx, again))
            self.count(row.agent, "schedule:failed")
            return
        sent = replace(moved, message=message.id)
        await self.store.write(lambda tx: rows.put(tx, sent))
        self.count(row.agent, "schedule:sent")

    async def _unread(self, row: Schedule) -> bool:
        number = row.message
        if number is None:
            return False
        return await self.store.read(lambda reader: messages.waits(reader, number))


def _body(row: Schedule, wanted: _Wanted, now: float) -> str:
    due_at = now if row.due_at is None else row.due_at
    calendar = wanted.calendar
    head = f"Schedule {row.name} ({row.at}), for {calendar.say(due_at)}"
    if now - due_at > _LATE_S:
        since = sum(at <= now for at in calendar.upcoming(due_at, _COUNTED))
        head += ". It could not be sent then"
        if since:
            times = "once" if since == 1 else f"{since} times"
            more = "at least " if since == _COUNTED else ""
            head += f", nor {more}{times} since; this message replaces them all"
    return f"{head}:\n{wanted.message}"
