"""One agent's ``model.sock``: an HTTP server on a listening socket from hived.

Connections are accepted only up to the listener's share of the descriptors; others wait
in the kernel, where they cost the relay nothing. A connection that sends no complete
request head in time is closed. A restarted hived creates new sockets; the old listener
is then ``retire``d: it accepts no new connections, and finishes running answers.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from pyglue.handover.share import connections_each
from pyglue.limits import RelayLimits

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_GRACE_S: Final = 0.3
_AGAIN_S: Final = 1.0

_log = logging.getLogger(__name__)


class Share:
    """The number of connections that each agent may have: an equal share of all."""

    def __init__(self, limits: RelayLimits) -> None:
        self._limits = limits
        self.agents = 1

    @property
    def connections(self) -> int:
        """The current maximum for one agent."""
        limits = self._limits
        return connections_each(
            self.agents, most=limits.connections, reserved=limits.descriptors_reserved
        )


class _Server(web.Server):
    """aiohttp's server, which also watches for connections without requests."""

    def __init__(
        self, listener: "Listener", limits: RelayLimits, handler: Handler
    ) -> None:
        super().__init__(
            self._handle,
            handler_cancellation=True,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=limits.idle_s,
        )
        self._listener = listener
        self._limits = limits
        self._handler = handler
        self._timers: dict[web.RequestHandler, asyncio.TimerHandle] = {}
        self.answering: set[web.RequestHandler] = set()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        self._stop(connection)
        self.answering.add(connection)
        try:
            return await self._handler(request)
        finally:
            self.answering.discard(connection)
            self._watch(connection, self._limits.idle_s)

    def connection_made(
        self, handler: web.RequestHandler, transport: asyncio.Transport
    ) -> None:
        super().connection_made(handler, transport)
        self._watch(handler, self._limits.header_s)

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        super().connection_lost(handler, exc)
        self._stop(handler)
        self._listener.one_left()

    def _watch(self, connection: web.RequestHandler, seconds: float) -> None:
        """Close the connection unless it has sent a request in time."""
        self._stop(connection)
        if connection.transport is not None:
            loop = asyncio.get_running_loop()
            self._timers[connection] = loop.call_later(
                seconds, connection.transport.abort
            )

    def _stop(self, connection: web.RequestHandler) -> None:
        timer = self._timers.pop(connection, None)
        if timer is not None:
            timer.cancel()


@dataclass(kw_only=True, eq=False)
class Listener:
    """An open listener; created by ``open_listener``."""

    listener: socket.socket
    handler: Handler
    limits: RelayLimits
    share: Share
    _loop: asyncio.AbstractEventLoop = field(
        default_factory=asyncio.get_running_loop, init=False
    )
    _server: _Server = field(init=False)
    _open: int = field(default=0, init=False)
    _is_listening: bool = field(default=False, init=False)
    _is_retired: bool = field(default=False, init=False)
    _joining: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        """Begin to listen."""
        self._server = _Server(self, self.limits, self.handler)
        self._listen()

    @property
    def is_busy(self) -> bool:
        """Whether there are connections."""
        return self._open > 0

    def retire(self) -> None:
        """Accept no new requests; finish the running ones."""
        self._close()
        # aiohttp stops reading a connection that waits for its next request, and leaves
        # it open: a client that keeps it alive would never get an answer there.
        for connection in self._server.connections:
            if connection in self._server.answering:
                connection.close()
            else:
                connection.force_close()

    def cut(self) -> None:
        """Abort every answer, but keep listening."""
        for connection in list(self._server.connections):
            if connection.transport is not None:
                connection.transport.abort()

    async def shut(self) -> None:
        """Abort every answer and close."""
        self._close()
        await self._server.shutdown(timeout=_GRACE_S)

    def one_left(self) -> None:
        """A connection has ended, so another one fits."""
        self._open -= 1
        if not self._is_retired and self._open < self.share.connections:
            self._listen()

    def _close(self) -> None:
        if not self._is_retired:
            self._is_retired = True
            self._pause()
            self.listener.close()

    def _listen(self) -> None:
        if not self._is_listening and not self._is_retired:
            self._is_listening = True
            self._loop.add_reader(self.listener, self._accept)

    def _pause(self) -> None:
        if self._is_listening:
            self._is_listening = False
            self._loop.remove_reader(self.listener)

    def _accept(self) -> None:
        """Accept one connection, so that no listener delays the others."""
        if self._open >= self.share.connections:
            self._pause()
            return
        try:
            connection, _ = self.listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
                raise
            _log.warning("cannot accept connections: %s", error.strerror)
            self._pause()
            self._loop.call_later(_AGAIN_S, self._listen)
            return
        connection.setblocking(False)
        self._open += 1
        task = self._loop.create_task(self._join(connection))
        self._joining.add(task)
        task.add_done_callback(self._joining.discard)

    async def _join(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._server, connection)
        except OSError:  # it has already disconnected
            connection.close()
            self.one_left()


def open_listener(
    listener: socket.socket,
    handler: Handler,
    *,
    limits: RelayLimits | None = None,
    share: Share | None = None,
) -> Listener:
    """Serve on a listening Unix socket, which belongs to us from now on.

    A request whose client disconnects is cancelled.
    """
    limits = limits or RelayLimits()
    return Listener(
        listener=listener, handler=handler, limits=limits, share=share or Share(limits)
    )
