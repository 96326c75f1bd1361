"""One agent's ``egress.sock``: accepts on a listening socket from hived.

Connections are accepted only up to the agent's share of the descriptors; more wait in
the kernel, where they cost hive-egress nothing.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Final

_AGAIN_S: Final = 1.0

_log = logging.getLogger(__name__)

Serve = Callable[[socket.socket], Awaitable[None]]


class Listener:
    """Accepts connections and serves each in a task of its own."""

    def __init__(
        self, listener: socket.socket, serve: Serve, *, most: Callable[[], int]
    ) -> None:
        self._listener = listener
        self._serve = serve
        self._most = most
        self._left = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.create_task(self._accept())

    @property
    def is_busy(self) -> bool:
        """Whether somebody is connected."""
        return bool(self._running)

    def cut(self) -> None:
        """Break off every connection, and go on listening."""
        for task in self._running:
            task.cancel()

    async def retire(self) -> None:
        """Accept no more; what is connected goes on."""
        self._accepting.cancel()
        await asyncio.gather(self._accepting, return_exceptions=True)
        self._listener.close()

    async def shut(self) -> None:
        """Cut everything off."""
        await self.retire()
        self.cut()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while len(self._running) >= self._most():
                self._left.clear()
                await self._left.wait()
            try:
                connection, _ = await loop.sock_accept(self._listener)
            except OSError as error:  # no descriptors, no memory
                _log.warning("cannot accept a connection: %s", error.strerror)
                await asyncio.sleep(_AGAIN_S)
                continue
            task = asyncio.create_task(self._one(connection))
            self._running.add(task)
            task.add_done_callback(self._gone)

    async def _one(self, connection: socket.socket) -> None:
        with contextlib.closing(connection), contextlib.suppress(OSError):
            await self._serve(connection)

    def _gone(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._left.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a connection failed: %r", error)
