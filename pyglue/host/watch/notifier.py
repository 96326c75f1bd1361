"""Notifications to where the operator reads them: what is worth one, when, and again.

The event bus says what happened; what is sent is a title of the hive's own words and a
link, never what an agent wrote. hive-notify sends it. What fails is tried again later
and later, for a day; quiet hours hold everything back, and what was held back is said
in one notification if it is more than a few. Nothing waits for this: it has a task and
a queue of its own, and a queue that is full loses its oldest.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Final

import msgspec

from pyglue import origin, strict_json, wall_clock
from pyglue.api.common import AgentState
from pyglue.api.events import (
    AgentStateChanged,
    ApprovalCreated,
    Event,
    MessageSent,
    Notice,
    QuestionAsked,
)
from pyglue.api.notify import NotifyEvent, SendNotification, SentNotification
from pyglue.config import HiveConfig
from pyglue.errors import HiveError
from pyglue.names import OPERATOR

_QUEUE_MAX: Final = 200
_AGAIN_S: Final = (10.0, 60.0, 300.0, 1800.0, 3600.0)
_GIVE_UP_S: Final = 86400.0
_SAME_S: Final = 600.0
"""The same title is sent once in this time."""
_FEW: Final = 3
_ANSWER_S: Final = 300.0
_LINE: Final = 16 * 1024
_TROUBLE: Final = {
    AgentState.FAILED.value: "has failed",
    AgentState.NEEDS_LOGIN.value: "needs a login",
    AgentState.NO_CREDIT.value: "is refused by the model provider: no credit",
    AgentState.DISK_FULL.value: "has no free disk space",
}
_NOTICES: Final = {
    "crashed": "has crashed",
    "server_down": "has an MCP server that is down",
    "step_late": "waits for a tool call without a result",
}


@dataclass
class _Pending:
    title: str
    path: str
    at: float
    due_at: float
    tried: int = 0
    only: tuple[int, ...] | None = None


@dataclass(kw_only=True)
class Notifier:
    """Hears events, keeps what is to be sent, and sends it."""

    config: HiveConfig
    zone: tzinfo
    problem: str | None = None
    """Why the newest attempt failed; None if it did not."""
    _queue: deque[_Pending] = field(
        default_factory=lambda: deque(maxlen=_QUEUE_MAX), init=False
    )
    _said: dict[str, float] = field(default_factory=dict, init=False)
    _changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    @property
    def is_on(self) -> bool:
        """Whether notifications are configured."""
        return self.config.notify.url_file is not None

    @property
    def pending(self) -> int:
        """How many are still to be sent."""
        return len(self._queue)

    def heard(self, event: Event) -> None:
        """Queue what an event is worth; called for every one."""
        for kind, title, path in _worth(event):
            if self.is_on and kind in self.config.notify.events:
                self._put(title, path)

    def _put(self, title: str, path: str) -> None:
        now = time.time()
        self._said = {t: at for t, at in self._said.items() if abs(now - at) < _SAME_S}
        if title in self._said:
            return
        self._said[title] = now
        due_at = quiet_until(self.config.notify.quiet_hours, now, self.zone) or now
        self._queue.append(_Pending(title, path, now, due_at))
        self._changed.set()

    async def watch(self) -> None:
        """Send what is due; runs as long as hived does."""
        while True:
            self._changed.clear()
            now = time.time()
            for one in self._queue:
                if one.at > now:  # the clock was set back since
                    one.at = one.due_at = now
            due = [one for one in self._queue if one.due_at <= now]
            for one in self._folded(due, now):
                await self._try(one)
            moments = [one.due_at for one in self._queue]
            first = min(moments, default=None)
            await wall_clock.reach(first, self._changed, seen=now)

    def _folded(self, due: list[_Pending], now: float) -> list[_Pending]:
        """Put what quiet hours held back into one, if it is more than a few."""
        held = [one for one in due if one.tried == 0 and one.due_at > one.at]
        if len(held) <= _FEW:
            return due
        for one in held:
            self._queue.remove(one)
        since = datetime.fromtimestamp(held[0].at, self.zone).strftime("%H:%M")
        title = f"{len(held)} notifications since {since}"
        folded = _Pending(title, "/", now, now)
        self._queue.append(folded)
        return [*(one for one in due if one not in held), folded]

    async def _try(self, one: _Pending) -> None:
        """Send one; what fails stays queued for later, for a day."""
        asked = SendNotification(
            title=one.title, link=self._link(one.path), only=one.only
        )
        try:
            async with asyncio.timeout(_ANSWER_S):
                sent = await self._ask(asked)
        except (OSError, HiveError, TimeoutError, ValueError):
            sent = SentNotification(
                failed=one.only or (), problem="hive-notify is not running"
            )
        self.problem = sent.problem
        now = time.time()
        if sent.problem is not None and now - one.at < _GIVE_UP_S:
            one.due_at = now + _AGAIN_S[min(one.tried, len(_AGAIN_S) - 1)]
            one.tried += 1
            one.only = sent.failed or one.only
            return
        if one in self._queue:
            self._queue.remove(one)

    async def _ask(self, asked: SendNotification) -> SentNotification:
        path = self.config.layout.notify_socket
        reader, writer = await asyncio.open_unix_connection(path, limit=_LINE)
        try:
            writer.write(msgspec.json.encode(asked) + b"\n")
            await writer.drain()
            return strict_json.read(await reader.readline(), SentNotification)
        finally:
            writer.close()

    def _link(self, path: str) -> str | None:
        """Return the page's address. The secret name on loopback is told to nobody."""
        base = origin.configured(self.config.web)
        return None if base is None else f"{base}{path}"


def _worth(event: Event) -> Iterator[tuple[NotifyEvent, str, str]]:
    """Yield what is worth a notification: of which kind, its title, its page."""
    who = event.agent or "The hive"
    page = f"/agents/{event.agent}" if event.agent else "/"
    match event.read():
        case ApprovalCreated(approval=number):
            title = f"Approval {number} of {who} is pending"
            yield NotifyEvent.APPROVALS, title, f"/approvals/{number}"
        case QuestionAsked(question=number, to=to) if to == OPERATOR:
            yield NotifyEvent.QUESTIONS, f"{who} asks question {number}", "/"
        case MessageSent(id=number, sender=sender, recipient=to) if to == OPERATOR:
            title = f"Message {number} from {sender}"
            yield NotifyEvent.MESSAGES, title, f"/messages/{number}"
        case AgentStateChanged(state=state) if state in _TROUBLE:
            yield NotifyEvent.TROUBLE, f"{who} {_TROUBLE[state]}", page
        case AgentStateChanged(state=AgentState.OVER_BUDGET.value):
            yield NotifyEvent.BUDGETS, f"{who} has used up its budget", page
        case Notice(what=what) if what in _NOTICES:
            yield NotifyEvent.TROUBLE, f"{who} {_NOTICES[what]}", page


def quiet_until(hours: str | None, now: float, zone: tzinfo) -> float | None:
    """Return when the quiet hours end in which ``now`` is, None if it is in none.

    ``hours`` is ``22:00-07:00``; an end before the beginning is on the next day.
    """
    if hours is None:
        return None
    begin, end = (_minutes(one) for one in hours.split("-"))
    here = datetime.fromtimestamp(now, zone)
    minute = here.hour * 60 + here.minute
    inside = begin <= minute < end if begin < end else minute >= begin or minute < end
    if not inside:
        return None
    day = here if minute < end else here + timedelta(days=1)
    ends = day.replace(hour=end // 60, minute=end % 60, second=0, microsecond=0)
    return ends.timestamp()


def _minutes(text: str) -> int:
    hour, _, minute = text.partition(":")
    return int(hour) * 60 + int(minute)
