"""One agent's ``model.sock``: an HTTP server on a listening socket from hived.

When hived starts anew it makes new sockets; the old door is then ``retire``d: it takes
no new connection, and what is being answered is answered to its end.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_GRACE_S: Final = 0.3


class Door:
    """An open door; made by ``open_door``."""

    def __init__(
        self,
        server: web.Server,
        listening: asyncio.Server,
        answering: "set[web.RequestHandler]",
    ) -> None:
        self._server = server
        self._listening = listening
        self._answering = answering

    @property
    def is_busy(self) -> bool:
        """Whether somebody is connected."""
        return bool(self._server.connections)

    def retire(self) -> None:
        """Take no new request; let those that run come to their end."""
        self._listening.close()
        # aiohttp stops to read a connection that waits for its next request and leaves
        # it open: a client that keeps it alive would ask there and never be answered.
        for connection in self._server.connections:
            if connection in self._answering:
                connection.close()
            else:
                connection.force_close()

    def cut(self) -> None:
        """Break off every answer, and go on listening."""
        for connection in list(self._server.connections):
            if connection.transport is not None:
                connection.transport.abort()

    async def shut(self) -> None:
        """Cut everything off."""
        self._listening.close()
        await self._server.shutdown(timeout=_GRACE_S)


async def open_door(listener: socket.socket, handler: Handler) -> Door:
    """Serve on a listening Unix socket; it is ours from now on.

    A request whose client is gone is cancelled.
    """
    answering: set[web.RequestHandler] = set()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        answering.add(request.protocol)
        try:
            return await handler(request)
        finally:
            answering.discard(request.protocol)

    server = web.Server(answer, handler_cancellation=True, access_log=None)
    loop = asyncio.get_running_loop()
    return Door(server, await loop.create_server(server, sock=listener), answering)
