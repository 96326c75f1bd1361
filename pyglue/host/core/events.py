"""The event stream: sends committed events to every subscriber, in order, and reports
every gap.

The store publishes here after each commit. If a subscriber reads too slowly, its queue
is dropped and it gets ``gap``, so memory use stays bounded.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from pyglue.api.events import Event, GapParams
from pyglue.api.operator import EVENT, GAP
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import Connection
from pyglue.store import events as rows
from pyglue.store.database import Store

QUEUE_MAX: Final = 4096
REPLAY_MAX: Final = 20_000
_PAGE: Final = 500


class _Subscription:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.queue: deque[Event] = deque()
        self.overflowed: int | None = None
        self.wake = asyncio.Event()

    def put(self, events: list[Event]) -> None:
        if len(self.queue) + len(events) > QUEUE_MAX:
            self.queue.clear()
            self.overflowed = events[-1].seq
        else:
            self.queue.extend(events)
        self.wake.set()


@dataclass(kw_only=True)
class EventBus:
    """Fans committed events out to subscribers and to hived's own listeners."""

    store: Store
    _subscriptions: set[_Subscription] = field(default_factory=set, init=False)
    _listeners: list[Callable[[Event], None]] = field(default_factory=list, init=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    last_seq: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.store.on_events(self._publish)

    async def load(self) -> None:
        """Continue the numbering from the last stored event."""
        self.last_seq = await self.store.read(rows.last_seq)

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Call ``listener`` for every event from now on; it must not block."""
        self._listeners.append(listener)

    def subscribe(self, connection: Connection, since: int | None) -> int:
        """Send ``connection`` the events after ``since``; return the newest ``seq``.

        Raises:
            HiveError: ``conflict`` if it already has a subscription.
        """
        if any(one.connection is connection for one in self._subscriptions):
            raise HiveError(
                ErrorCode.CONFLICT,
                "This connection already has a subscription; open another connection.",
            )
        subscription = _Subscription(connection)
        self._subscriptions.add(subscription)
        start = self.last_seq if since is None else since
        task = asyncio.create_task(self._pump(subscription, start, self.last_seq))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

        def gone() -> None:
            self._subscriptions.discard(subscription)
            task.cancel()

        connection.on_close(gone)
        return self.last_seq

    def _publish(self, events: list[Event]) -> None:
        self.last_seq = events[-1].seq
        for subscription in self._subscriptions:
            subscription.put(events)
        for event in events:
            for listener in self._listeners:
                listener(event)

    async def _pump(self, subscription: _Subscription, start: int, end: int) -> None:
        connection = subscription.connection
        sent = await self._replay(connection, start, end)
        while True:
            while subscription.queue:
                event = subscription.queue.popleft()
                if event.seq > sent:
                    connection.notify(EVENT, event)
                    sent = event.seq
                    await connection.drained()
            if subscription.overflowed is not None:
                sent, subscription.overflowed = subscription.overflowed, None
                gap = GapParams(seq=sent, reason="The reader was too slow.")
                connection.notify(GAP, gap)
            subscription.wake.clear()
            if not subscription.queue and subscription.overflowed is None:
                await subscription.wake.wait()

    async def _replay(self, connection: Connection, start: int, end: int) -> int:
        if start >= end:
            return end
        oldest = await self.store.read(rows.oldest_seq)
        if end - start > REPLAY_MAX or start + 1 < oldest:
            gap = GapParams(seq=end, reason="These events are no longer kept.")
            connection.notify(GAP, gap)
            return end
        position = start
        while position < end:
            page = await self.store.read(partial(rows.since, seq=position, limit=_PAGE))
            if not page:
                break
            for event in page:
                connection.notify(EVENT, event)
            position = page[-1].seq
            await connection.drained()
        return max(position, end)
