"""Live events: one subscription to hived, shared by every open stream.

hived answers a subscription only with a valid session, so the hub's thread borrows the
token of one of its listeners. When that session ends, it continues with another one's,
and the listeners of the ended session are told to end. Without listeners, it has no
connection and keeps nothing. Each listener is a cursor into one bounded ring of encoded
messages: one that reads too slowly, or comes back from before the ring, gets a ``gap``
and reads its pages again.

Messages (JSON texts): ``{"type": "up"}`` or ``{"type": "down"}`` first and whenever
hived connects or disconnects, ``{"type": "event", "seq", "at", "kind", "agent",
"data"}``, and ``{"type": "gap", "seq", "reason"}``, after which ``up`` or ``down`` is
said again; for pages that show only the steps of turns, those of ``steps``.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from pyglue.api.events import Event, GapParams, SubscribeParams
from pyglue.api.operator import SUBSCRIBE
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import SyncClient
from pyglue.web.live.ring import Item, Ring, connection_item, gap_item, item_of

_log = logging.getLogger(__name__)
CLIENT: Final = "hive-web"
"""The name of every connection of this process, of which hived requires a session."""
STREAMS_MAX: Final = 200
"""Simultaneous live streams; the server's other threads are for pages."""
_RETRY_FIRST_S: Final = 0.1
_RETRY_MAX_S: Final = 2.0


class Listener:
    """The position of a stream in the ring. Created by ``Hub.listen``."""

    def __init__(self, session: str, since: int | None, index: int) -> None:
        self.session = session
        self.since = since
        self.index = index
        self.greeting: Item | None = None
        self.gap: str | None = None
        self.ended = False


class Hub:
    """Reads hived's events in a thread and hands them to listeners."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._changed = threading.Condition()
        self._listeners: set[Listener] = set()
        self._client: SyncClient | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self._ring = Ring()
        self._up: bool | None = None

    # --- for streams ----------------------------------------------------------

    @contextlib.contextmanager
    def listen(self, session: str, since: int | None) -> Iterator[Listener]:
        """Register a stream that has seen events up to ``since`` (None: from now).

        Raises:
            HiveError: ``too_many`` if ``STREAMS_MAX`` are open, ``unavailable``
                while the process is stopping.
        """
        with self._changed:
            if self._closed:
                raise HiveError(ErrorCode.UNAVAILABLE, "The dashboard is stopping.")
            if len(self._listeners) >= STREAMS_MAX:
                raise HiveError(
                    ErrorCode.TOO_MANY,
                    f"{STREAMS_MAX} live streams are already open. Close some tabs.",
                )
            listener = Listener(session, since, self._ring.index)
            self._listeners.add(listener)
            self._resume(listener)
            listener.greeting = next(self._state(), None)
            self._ensure_thread()
            self._changed.notify_all()
        try:
            yield listener
        finally:
            with self._changed:
                self._listeners.discard(listener)
                if not self._listeners:
                    self._drop_client()
                    self._reset()

    def take(
        self,
        listener: Listener,
        timeout: float,
        wanted: Callable[[], bool] = lambda: True,
    ) -> list[Item] | None:
        """Return new messages for ``listener``, waiting up to ``timeout`` seconds.

        An empty list: there was nothing in time, or ``wake`` was called. None: the
        stream has ended (its session ended, or the process is stopping). ``wanted`` is
        called before waiting, under the lock of ``wake``, so that none is missed.
        """
        with self._changed:
            ready = self._over(listener) or self._waiting(listener)
            if not ready and wanted():
                self._changed.wait(timeout)
            if self._over(listener):
                return None
            if listener.greeting is not None:
                greeting, listener.greeting = listener.greeting, None
                return [greeting]
            found = self._ring.after(listener.index)
            listener.index = self._ring.index
            if found is None:
                listener.gap = "This stream was read too slowly."
            if listener.gap is not None:
                gap = gap_item(self._ring.seq or 0, listener.gap)
                listener.gap = None
                # The messages that are left out may hold the connection's state.
                return [gap, *self._state()]
            since = listener.since or 0
            if self._ring.seq is not None:
                listener.since = max(since, self._ring.seq)
        return [one for one in found or () if one.seq is None or one.seq > since]

    def wake(self) -> None:
        """Make every waiting ``take`` return and check again."""
        with self._changed:
            self._changed.notify_all()

    def end_session(self, session: str) -> None:
        """End the streams of an ended session."""
        with self._changed:
            for listener in self._listeners:
                if listener.session == session:
                    listener.ended = True
            self._changed.notify_all()

    def close(self) -> None:
        """End every stream and the thread; the process is stopping."""
        with self._changed:
            self._closed = True
            self._drop_client()
            self._changed.notify_all()

    # --- the ring; the lock is held ---------------------------------------------

    def _reset(self) -> None:
        self._ring.clear()
        self._up = None

    def _over(self, listener: Listener) -> bool:
        return self._closed or listener.ended

    def _waiting(self, listener: Listener) -> bool:
        waits = listener.greeting or listener.gap
        return waits is not None or listener.index < self._ring.index

    def _resume(self, listener: Listener) -> None:
        """Return to the position of ``listener``, or give it a gap."""
        if listener.since is None:
            return
        back = self._ring.count_after(listener.since)
        if back is None:
            listener.gap = "Events from before are not kept."
        else:
            listener.index -= back

    def _append(self, item: Item) -> None:
        self._ring.append(item)
        self._changed.notify_all()

    def _state(self) -> Iterator[Item]:
        if self._up is not None:
            yield connection_item(self._up)

    def _set_up(self, up: bool) -> None:
        if self._up is not up:
            self._up = up
            self._append(connection_item(up))

    def _drop_client(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    # --- the thread -----------------------------------------------------------------

    def _ensure_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="live-events", daemon=True
            )
            self._thread.start()

    def _run(self) -> None:
        wait_s = _RETRY_FIRST_S
        while (token := self._next_token()) is not None:
            if self._followed(token):
                wait_s = _RETRY_FIRST_S
                continue
            with self._changed:
                self._changed.wait_for(lambda: self._closed, wait_s)
            wait_s = min(wait_s * 2, _RETRY_MAX_S)

    def _next_token(self) -> str | None:
        """Wait for a listener and return its session; None once closed."""
        with self._changed:
            while not self._closed:
                for listener in self._listeners:
                    if not listener.ended:
                        return listener.session
                self._changed.wait()
        return None

    def _followed(self, token: str) -> bool:
        """Follow; whatever fails, this thread goes on: every stream waits for it."""
        try:
            return self._follow(token)
        except Exception:
            _log.exception("the live events stopped")
            return self._broken()

    def _follow(self, token: str) -> bool:
        """Subscribe and read to the end; False if hived was not reachable."""
        try:
            client = SyncClient(self._socket, client=CLIENT, session=token)
        except HiveError as error:
            return self._refused(token, error)
        try:
            with self._changed:
                if not self._listeners or self._closed:
                    return True
                self._client = client
                since = self._since()
            answer = client.call(SUBSCRIBE, SubscribeParams(since=since))
            self._begin(client, since, answer.seq)
            for note in client.notes():
                self._note(client, note)
        except HiveError as error:
            return self._refused(token, error)
        finally:
            client.close()
        with self._changed:
            if self._client is client:
                self._client = None
                self._set_up(False)
        return True

    def _refused(self, token: str, error: HiveError) -> bool:
        if error.code is ErrorCode.UNAUTHENTICATED:
            self.end_session(token)
            return True
        return self._broken()

    def _broken(self) -> bool:
        with self._changed:
            if self._listeners:
                self._set_up(False)
        return False

    def _since(self) -> int | None:
        if self._ring.seq is not None:
            return self._ring.seq
        asked = [one.since for one in self._listeners if one.since is not None]
        return min(asked, default=None)

    def _begin(self, client: SyncClient, since: int | None, newest: int) -> None:
        """The subscription is confirmed; events after ``since`` will follow."""
        with self._changed:
            if self._client is not client:
                return
            start = newest if since is None else min(since, newest)
            begins_anew = since is not None and since > newest
            known = self._ring.seq is not None
            for one in self._listeners:
                if begins_anew or (not known and _missed(one, start, newest)):
                    one.since = None
                    one.gap = "The hive's events start over."
            if begins_anew:
                self._ring.clear()
            self._ring.start(start)
            self._set_up(True)

    def _note(self, client: SyncClient, note: Event | GapParams) -> None:
        item = item_of(note)
        with self._changed:
            if self._client is client:
                self._append(item)


def _missed(listener: Listener, start: int, newest: int) -> bool:
    """Return whether ``listener`` has missed events for good."""
    return listener.since is not None and not start <= listener.since <= newest
