"""Notifications outside the dashboard: queued, sent, and retried.

A notification consists of a title in the hive's own words and a link
(``notification_rules``), never of an agent's text. hive-notify sends it to the services
in the operator's file and to subscribed browsers. Failures are retried at increasing
intervals for a day. Quiet hours delay all notifications; more than a few delayed ones
are sent as one. Nothing waits for this: it has its own task and queue, and a full queue
drops its oldest entry.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from pyglue import strict_json
from pyglue.api.common import NoParams
from pyglue.api.events import Event
from pyglue.api.metrics import HIVE
from pyglue.api.notify import (
    Asked,
    PushOutcome,
    SendNotification,
    SentNotification,
    SentPush,
)
from pyglue.api.push import Note, NotificationsResult
from pyglue.clock import wall_clock
from pyglue.config import HiveConfig, origin
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.watch.notification_rules import quiet_until, worth_of

if TYPE_CHECKING:  # it imports cryptography, which few hives need
    from pyglue.host.push.browsers import Browsers

T = TypeVar("T")

_QUEUE_MAX: Final = 200
_AGAIN_S: Final = (10.0, 60.0, 300.0, 1800.0, 3600.0)
_GIVE_UP_S: Final = 86400.0
_SAME_S: Final = 600.0
"""The same title is sent at most once in this time."""
_FEW: Final = 3
_ANSWER_S: Final = 300.0
_LINE: Final = 16 * 1024


_ABSENT: Final = "hive-notify is not running"


@dataclass(kw_only=True)
class _Pending:
    """A pending notification and its remaining targets; None means all."""

    note: Note
    at: float
    due_at: float
    tried: int = 0
    only: tuple[int, ...] | None = None
    is_placed: bool = False
    """Whether all services in the operator's file have received it."""
    browsers: tuple[int, ...] | None = None


@dataclass(kw_only=True)
class Notifier:
    """Listens to events, queues notifications, and sends them."""

    config: HiveConfig
    zone: tzinfo
    browsers: "Browsers | None" = None
    """The subscribed browsers; None: Web Push is off."""
    count: Callable[[str, str], None]
    """Counts a metric of an agent (``Counts.add``)."""
    changed: Callable[[], None]
    """Called when the result of ``overview`` has changed."""
    problem: str | None = None
    """Why the latest attempt failed; None if it succeeded."""
    _queue: deque[_Pending] = field(
        default_factory=lambda: deque(maxlen=_QUEUE_MAX), init=False
    )
    _sent_at: dict[str, float] = field(default_factory=dict, init=False)
    _changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    @property
    def is_on(self) -> bool:
        """Whether notifications are configured."""
        return self.config.notify.is_on

    @property
    def pending(self) -> int:
        """The number of pending notifications."""
        return len(self._queue)

    def heard(self, event: Event) -> None:
        """Queue the notifications that an event causes; called for every event."""
        for kind, note in worth_of(event):
            if self.is_on and kind in self.config.notify.events:
                self._put(note)

    def _put(self, note: Note) -> None:
        now = time.time()
        self._sent_at = {
            t: at for t, at in self._sent_at.items() if abs(now - at) < _SAME_S
        }
        if note.title in self._sent_at:
            return
        self._sent_at[note.title] = now
        due_at = quiet_until(self.config.notify.quiet_hours, now, self.zone) or now
        self._queue.append(_Pending(note=note, at=now, due_at=due_at))
        self._changed.set()

    # --- the operator -----------------------------------------------------------------

    async def overview(self, _params: NoParams) -> NotificationsResult:
        """Return the configuration, the browsers and the state of sending."""
        notify = self.config.notify
        return NotificationsResult(
            places=notify.url_file is not None,
            web_push=self.browsers is not None,
            events=notify.events,
            quiet_hours=notify.quiet_hours,
            pending=self.pending,
            problem=self.problem,
            browsers=() if self.browsers is None else self.browsers.views(),
        )

    def known_browsers(self) -> "Browsers":
        """Return the subscribed browsers.

        Raises:
            HiveError: ``conflict`` if Web Push is off.
        """
        if self.browsers is None:
            raise HiveError(
                ErrorCode.CONFLICT,
                "Web Push is off: set services.hyperhive.notify.webPush.enable, or "
                "start the hive with `hive run --web-push`.",
            )
        return self.browsers

    async def test(self, _params: NoParams) -> None:
        """Send a test notification now, even in quiet hours.

        Raises:
            HiveError: ``conflict`` if notifications are off.
        """
        if not self.is_on:
            raise HiveError(
                ErrorCode.CONFLICT,
                "Notifications are off: set services.hyperhive.notify.urlFile or "
                "webPush.enable.",
            )
        now = time.time()
        note = Note(title="This is a test", path="/notifications", tag="test")
        self._queue.append(_Pending(note=note, at=now, due_at=now))
        self._changed.set()

    # --- sending ----------------------------------------------------------------------

    async def watch(self) -> None:
        """Send due notifications; runs as long as hived does."""
        while True:
            if self._changed.is_set():
                self.changed()
            self._changed.clear()
            now = time.time()
            for one in self._queue:
                if one.at > now:  # the clock was set back since
                    one.at = one.due_at = now
            due = [one for one in self._queue if one.due_at <= now]
            for one in self._folded(due, now):
                await self._try(one)
                self.changed()
            moments = [one.due_at for one in self._queue]
            first = min(moments, default=None)
            await wall_clock.reach(first, self._changed, seen=now)

    def _folded(self, due: list[_Pending], now: float) -> list[_Pending]:
        """Merge notifications delayed by quiet hours into one if they are many."""
        held = [one for one in due if one.tried == 0 and one.due_at > one.at]
        if len(held) <= _FEW:
            return due
        for one in held:
            self._queue.remove(one)
        since = datetime.fromtimestamp(held[0].at, self.zone).strftime("%H:%M")
        title = f"{len(held)} notifications since {since}"
        note = Note(title=title, path="/", tag="many")
        folded = _Pending(note=note, at=now, due_at=now)
        self._queue.append(folded)
        return [*(one for one in due if one not in held), folded]

    async def _try(self, one: _Pending) -> None:
        """Send one; if it fails, keep it queued for retries, for a day."""
        problems, wait_s = await self._push(one)
        if self.config.notify.url_file is not None and not one.is_placed:
            problems += await self._place(one)
        self.problem = "; ".join(problems) or None
        now = time.time()
        if problems and now - one.at < _GIVE_UP_S:
            again_s = _AGAIN_S[min(one.tried, len(_AGAIN_S) - 1)]
            one.due_at = now + max(again_s, wait_s)
            one.tried += 1
            return
        if one in self._queue:
            self._queue.remove(one)
        self.count(HIVE, "notify:failed" if problems else "notify:sent")

    async def _place(self, one: _Pending) -> list[str]:
        """Send to the services that do not have it; return why some still do not."""
        link = self._link(one.note.path)
        asked = SendNotification(title=one.note.title, link=link, only=one.only)
        sent = await self._ask(asked, SentNotification)
        if sent is None:
            return [_ABSENT]
        one.is_placed = sent.problem is None
        one.only = sent.failed or one.only
        return [] if sent.problem is None else [sent.problem]

    async def _push(self, one: _Pending) -> tuple[list[str], float]:
        """Send to the browsers that do not have it.

        Returns:
            Why some still do not, and how many seconds their services ask us to wait.
        """
        if self.browsers is None:
            return [], 0.0
        wanted = self.browsers.ids if one.browsers is None else one.browsers
        sent = await asyncio.gather(*(self._push_one(one.note, id_) for id_ in wanted))
        failed = {
            id_: found
            for id_, found in zip(wanted, sent, strict=True)
            if found.outcome is PushOutcome.FAILED
        }
        one.browsers = tuple(failed)
        reasons = dict.fromkeys(found.problem or "" for found in failed.values())
        return list(reasons), max((one.again_s for one in failed.values()), default=0.0)

    async def _push_one(self, note: Note, number: int) -> SentPush:
        browsers = self.known_browsers()
        asked = browsers.sealed(number, note)
        if asked is None:
            return SentPush(outcome=PushOutcome.GONE)
        sent = await self._ask(asked, SentPush)
        if sent is None:
            return SentPush(outcome=PushOutcome.FAILED, problem=_ABSENT)
        await browsers.sent(number, sent)
        return sent

    async def _ask(self, asked: Asked, answer: type[T]) -> T | None:
        """Return the answer of hive-notify; None if there is none."""
        path = self.config.layout.notify_socket
        try:
            async with asyncio.timeout(_ANSWER_S):
                reader, writer = await asyncio.open_unix_connection(path, limit=_LINE)
                try:
                    writer.write(msgspec.json.encode(asked) + b"\n")
                    await writer.drain()
                    return strict_json.read(await reader.readline(), answer)
                finally:
                    writer.close()
        except (OSError, HiveError, TimeoutError, ValueError):
            return None

    def _link(self, path: str) -> str | None:
        """Return the page's URL; None rather than reveal the secret loopback name."""
        base = origin.configured(self.config.web)
        return None if base is None else f"{base}{path}"
