"""The dashboard's listener: it receives whole requests and passes them to gunicorn.

gunicorn gives each connection a thread and reads from it for as long as it takes, so a
few hundred peers with half a request would occupy all of its threads. Here, one event
loop accepts, handles TLS and receives, under the deadlines and limits of
``HttpLimits``; complete requests go to gunicorn over a Unix socket that nobody else can
open. Answers come back the same way and are kept for slow readers. A WebSocket, once
accepted by the app, is passed on byte by byte.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Final

from pyglue.limits import HttpLimits
from pyglue.web.guard.callers import Caller, Callers
from pyglue.web.guard.receiving import PIECE, LeavingProtocol, Receiving, more
from pyglue.web.guard.request_head import Head, RefusedError

_SWITCHED: Final = b"HTTP/1.1 101 "
_PAUSE_S: Final = 0.1
_AT_ONCE: Final = 64
_GONE: Final = (OSError, EOFError, TimeoutError)

_log = logging.getLogger(__name__)


@dataclass(kw_only=True, eq=False)
class Listener:
    """Serves listening sockets in front of ``backend``, gunicorn's Unix socket."""

    limits: HttpLimits
    backend: Path
    tls: ssl.SSLContext | None = None
    proxies: Iterable[str] = ()
    is_ours: Callable[[str], bool] = lambda _host: False
    """Tells without waiting if a Host header is the dashboard's own."""
    _callers: Callers = field(init=False)
    _receiving: Receiving = field(init=False)
    _turns: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        """Prepare for connections."""
        self._callers = Callers(self.limits, self.proxies)
        self._receiving = Receiving(
            limits=self.limits, callers=self._callers, is_ours=self.is_ours
        )
        self._turns = asyncio.Semaphore(self.limits.unanswered)

    async def run(self, listening: Iterable[socket.socket]) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as group:
            for one in listening:
                one.setblocking(False)
                group.create_task(self._accept(one))

    # --- accepting --------------------------------------------------------------------

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(listening)
            except OSError as error:  # too many open files, or the peer has gone
                _log.debug("could not accept a connection: %s", error)
                self._callers.drop_oldest()
                await asyncio.sleep(_PAUSE_S)
                continue
            self._admit(sock, str(address[0]))
            with contextlib.suppress(OSError):
                for _ in range(_AT_ONCE):  # go through a queue of strangers quickly
                    sock, address = listening.accept()
                    sock.setblocking(False)
                    self._admit(sock, str(address[0]))
            await asyncio.sleep(0)  # admitted connections come first

    def _admit(self, sock: socket.socket, peer: str) -> None:
        caller = Caller(sock=sock, peer=peer)
        if self._callers.admit(caller):
            caller.task = asyncio.get_running_loop().create_task(self._serve(caller))
        else:
            sock.close()

    # --- one connection ---------------------------------------------------------------

    async def _serve(self, caller: Caller) -> None:
        writer: asyncio.StreamWriter | None = None
        caller.begun = True
        try:
            reader, writer = await self._streams(caller)
            try:
                await self._talk(caller, reader, writer)
            except RefusedError as refused:
                await self._refuse(refused, reader, writer)
        except (*_GONE, asyncio.CancelledError):
            if writer is not None:
                writer.transport.abort()
        except Exception:
            _log.exception("a connection failed")
        finally:
            self._answered(caller)
            await self._end(caller, writer)
            self._callers.forget(caller)

    async def _end(self, caller: Caller, writer: asyncio.StreamWriter | None) -> None:
        """Close; a client that does not read the rest of an answer loses it."""
        if writer is None:
            caller.sock.close()
            return
        writer.close()
        try:
            async with asyncio.timeout(self.limits.end_s):
                await writer.wait_closed()
        except (*_GONE, asyncio.CancelledError):
            writer.transport.abort()

    async def _streams(
        self, caller: Caller
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=PIECE, loop=loop)
        protocol = LeavingProtocol(reader, lambda: self._callers.leaves(caller))
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol,
            caller.sock,
            ssl=self.tls,
            ssl_handshake_timeout=None if self.tls is None else self.limits.head_s,
        )
        caller.transport = transport
        transport.set_write_buffer_limits(high=self.limits.answer_bytes)
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def _talk(
        self,
        caller: Caller,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Pass on one request after the other, until either side ends."""
        head = await self._receiving.request(caller, reader, writer)
        inner, outer = await asyncio.open_unix_connection(self.backend)
        switched: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        answers = asyncio.create_task(self._answer(caller, inner, writer, switched))
        try:
            await self._hand_on(caller, head, outer)
            if head.upgrades:
                if await switched:
                    await self._stream(caller, reader, outer)
            else:
                await self._go_on(caller, reader, writer, outer)
            outer.write_eof()
            await asyncio.wait({answers}, timeout=self.limits.end_s)
        finally:
            answers.cancel()
            outer.close()
            await asyncio.wait({answers})

    async def _go_on(
        self,
        caller: Caller,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        outer: asyncio.StreamWriter,
    ) -> None:
        """Pass on further data; gunicorn ends idle connections."""
        with contextlib.suppress(EOFError):
            while True:
                if not caller.received:
                    await more(caller, reader)
                await caller.answered.wait()  # one at a time, as browsers send them
                caller.answered.clear()
                self._callers.waits(caller)
                head = await self._receiving.request(caller, reader, writer)
                if head.upgrades:
                    raise RefusedError(
                        HTTPStatus.BAD_REQUEST,
                        "Use a separate connection for each WebSocket.",
                    )
                await self._hand_on(caller, head, outer)

    async def _stream(
        self,
        caller: Caller,
        reader: asyncio.StreamReader,
        outer: asyncio.StreamWriter,
    ) -> None:
        outer.write(bytes(caller.received))
        while piece := await reader.read(PIECE):
            outer.write(piece)
            await outer.drain()

    # --- a request --------------------------------------------------------------------

    async def _hand_on(
        self, caller: Caller, head: Head, outer: asyncio.StreamWriter
    ) -> None:
        """Pass a request on in its turn.

        Raises:
            EOFError: its peer has left, and others are waiting.
        """
        body = bytes(caller.received[: head.length])
        del caller.received[: head.length]
        if not caller.known:  # the operator's browser does not have to queue
            await self._turns.acquire()
            caller.has_turn = True
            if caller.left and self._turns.locked():
                raise EOFError
        outer.write(head.text + body)
        await outer.drain()

    def _answered(self, caller: Caller) -> None:
        """Record that an answer has begun, or that there will be none."""
        caller.answered.set()
        if caller.has_turn:
            caller.has_turn = False
            self._turns.release()

    # --- answers ----------------------------------------------------------------------

    async def _answer(
        self,
        caller: Caller,
        inner: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        switched: "asyncio.Future[bool]",
    ) -> None:
        """Pass answers on until gunicorn ends the connection; then end ours."""
        try:
            while piece := await inner.read(PIECE):
                if not switched.done():
                    switched.set_result(piece.startswith(_SWITCHED))
                writer.write(piece)
                self._answered(caller)
                self._callers.look(caller)
                async with asyncio.timeout(self.limits.unread_s):
                    await writer.drain()
            writer.close()
            async with asyncio.timeout(self.limits.unread_s):
                await writer.wait_closed()
        except _GONE:
            writer.transport.abort()
        finally:
            self._answered(caller)
            if not switched.done():
                switched.set_result(False)

    async def _refuse(
        self,
        refused: RefusedError,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Answer, and read a little more so that the answer arrives."""
        writer.write(refused.answer())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await writer.drain()
                if writer.can_write_eof():
                    writer.write_eof()
                while await reader.read(PIECE):
                    pass
