"""One agent's ``egress.sock``: accepts on a listening socket from hived.

Connections are accepted up to the agent's share of the descriptors; more are queued in
the kernel, where they cost hive-egress nothing.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from pyglue.limits import SOCKETS_AT_ONCE

_AGAIN_S: Final = 1.0

_log = logging.getLogger(__name__)

Serve = Callable[[socket.socket], Awaitable[None]]


class Listener:
    """Accepts connections, and serves each in its own task."""

    def __init__(
        self, listener: socket.socket, serve: Serve, *, most: Callable[[], int]
    ) -> None:
        self._listener = listener
        self._serve = serve
        self._most = most
        self._running: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._again: asyncio.TimerHandle | None = None
        self._is_retired = False
        self._is_listening = False
        listener.setblocking(False)
        self._listen()

    @property
    def is_busy(self) -> bool:
        """Whether there are any connections."""
        return bool(self._running)

    def cut(self) -> None:
        """Close every connection, and continue listening."""
        for task in self._running:
            task.cancel()

    def retire(self) -> None:
        """Stop accepting; open connections continue."""
        self._is_retired = True
        self._pause()
        if self._again is not None:
            self._again.cancel()
        self._listener.close()

    async def shut(self) -> None:
        """Stop accepting, and close every connection."""
        self.retire()
        self.cut()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _listen(self) -> None:
        if not self._is_retired and not self._is_listening:
            self._is_listening = True
            self._loop.add_reader(self._listener, self._accept)

    def _pause(self) -> None:
        if self._is_listening:
            self._is_listening = False
            self._loop.remove_reader(self._listener)

    def _accept(self) -> None:
        for _ in range(SOCKETS_AT_ONCE):
            if len(self._running) >= self._most():
                self._pause()  # until one has closed
                return
            try:
                connection, _address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no descriptors, no memory
                _log.warning("cannot accept a connection: %s", error.strerror)
                self._pause()
                self._again = self._loop.call_later(_AGAIN_S, self._listen)
                return
            task = self._loop.create_task(self._one(connection))
            self._running.add(task)
            task.add_done_callback(self._gone)

    async def _one(self, connection: socket.socket) -> None:
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.setblocking(False)
            await self._serve(connection)

    def _gone(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._listen()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a connection failed: %r", error)
