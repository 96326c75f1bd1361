"""Receives one whole request from a connection, under deadlines and limits."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from pyglue.limits import HttpLimits
from pyglue.web.guard import request_head as heads
from pyglue.web.guard.callers import Caller, Callers
from pyglue.web.guard.request_head import Head, RefusedError

PIECE: Final = 64 * 1024
"""Bytes that are read at once."""
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True, kw_only=True)
class Receiving:
    """Receives requests; ``is_ours`` tells if a Host header is the dashboard's own."""

    limits: HttpLimits
    callers: Callers
    is_ours: Callable[[str], bool]

    async def request(
        self,
        caller: Caller,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> Head:
        """Return the head of a request once its body is complete.

        Raises:
            RefusedError: it is malformed, too large or too slow.
            EOFError: it did not arrive, or is incomplete.
        """
        limits = self.limits
        try:
            async with asyncio.timeout(limits.head_s):
                head = await self._head(caller, reader)
            caller.known = self.is_ours(head.host)
            if head.length > limits.body_bytes:
                raise RefusedError(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                    f"The request has {head.length} bytes; at most "
                    f"{limits.body_bytes} are accepted.",
                )
            self.callers.reserve(caller, head.length)
            if head.waits and len(caller.received) < head.length:
                writer.write(_CONTINUE)
            async with asyncio.timeout(limits.body_s):
                while len(caller.received) < head.length:
                    await more(caller, reader)
        except TimeoutError as error:
            raise RefusedError(
                HTTPStatus.REQUEST_TIMEOUT, "The request did not arrive in time."
            ) from error
        self.callers.is_whole(caller)
        return head

    async def _head(self, caller: Caller, reader: asyncio.StreamReader) -> Head:
        searched = 0
        while (end := heads.end_of(caller.received, searched)) < 0:
            searched = len(caller.received)
            heads.check_line(caller.received, self.limits)
            if searched > self.limits.head_bytes:
                raise RefusedError(
                    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                    "The request headers are too long.",
                )
            await more(caller, reader)
        head = bytes(caller.received[:end])
        del caller.received[:end]
        return heads.read(head, caller.peer, self.limits)


class LeavingProtocol(asyncio.StreamReaderProtocol):
    """Calls ``left`` as soon as the peer has closed its end, even with unread data."""

    def __init__(self, reader: asyncio.StreamReader, left: Callable[[], None]) -> None:
        super().__init__(reader)
        self._left = left

    def eof_received(self) -> bool | None:
        """The peer will send nothing more."""
        self._left()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer is gone."""
        self._left()
        super().connection_lost(exc)


async def more(caller: Caller, reader: asyncio.StreamReader) -> None:
    """Read what has arrived, at least a byte.

    Raises:
        EOFError: nothing more will arrive.
    """
    piece = await reader.read(PIECE)
    if not piece:
        raise EOFError
    caller.received += piece
