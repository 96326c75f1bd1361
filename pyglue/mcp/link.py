"""The connection to hived, opened again after a restart, and messages on lease.

There is no turn here whose end could acknowledge messages, and nobody knows whether an
answer reached the client: many abandon a call silently. So a message that ``recv``
returned is done only when the client names it, in ``had`` of the next ``recv`` or in
``ack``. Messages that it does not name are redelivered by the next ``recv``. A new
``recv`` ends an earlier one that is still waiting.
"""

import asyncio
from pathlib import Path
from typing import Final, TypeVar, cast

from msgspec.structs import replace

from pyglue import jsonrpc
from pyglue.api.common import PROTOCOL, HelloParams, HelloResult, Method, Params, Result
from pyglue.api.messages import AckParams, RecvParams, RecvResult
from pyglue.jsonrpc import Connection

P = TypeVar("P", bound=Params)
R = TypeVar("R", bound=Result)

_HELLO: Final = HelloParams(protocol=PROTOCOL, client="hive-mcp")
_ENDED: Final = "A newer recv replaced it, or the client closed its end."
_UNNAMED: Final = (
    "Each message comes again until you name its id in 'had' of your next recv, or in "
    "ack."
)


class Link:
    """Calls over one socket; connects when there is no connection."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()
        self._lent: frozenset[int] = frozenset()
        self._receiving: asyncio.Task[RecvResult] | None = None
        self._closed = False

    def close(self) -> None:
        """Stop waiting for messages: the client sends no more requests."""
        self._closed = True
        if self._receiving is not None:
            self._receiving.cancel()

    async def connection(self) -> Connection:
        """Return a living connection.

        Raises:
            HiveError: ``unavailable`` when nobody listens, or the hello's refusal.
        """
        async with self._connecting:
            if self._connection is None or self._connection.closed:
                self._connection = await jsonrpc.connect(self._path, hello=_HELLO)
            return self._connection

    async def hello(self) -> HelloResult:
        """Return the agent and role of the socket."""
        hello = (await self.connection()).hello
        if not isinstance(hello, HelloResult):
            raise AssertionError("a client's connection has the server's hello")
        return hello

    async def call(
        self, method: Method[P, R], params: P, *, timeout: float | None = None
    ) -> R:
        """Call a method, as ``Connection.call`` does."""
        if isinstance(params, RecvParams) and not params.peek:
            return cast(R, await self._recv(method, params, timeout))
        asked: Params = params
        if isinstance(params, AckParams) and params.messages is None:
            asked = AckParams(messages=tuple(self._lent))
        connection = await self.connection()
        return await connection.call(method, cast(P, asked), timeout=timeout)

    async def _recv(
        self, method: Method[P, R], params: RecvParams, timeout: float | None
    ) -> RecvResult:
        """Receive messages; an earlier recv that is still waiting ends."""
        task = asyncio.create_task(self._take(self._receiving, method, params, timeout))
        self._receiving = task
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task})
            raise
        if task.cancelled():
            return RecvResult(messages=(), hint=_ENDED)
        found = task.result()
        if not found.messages:
            return found
        self._lent = frozenset(message.id for message in found.messages)
        return replace(found, hint=_UNNAMED)

    async def _take(
        self,
        before: asyncio.Task[RecvResult] | None,
        method: Method[P, R],
        params: RecvParams,
        timeout: float | None,
    ) -> RecvResult:
        if before is not None and not before.done():
            before.cancel()
            await asyncio.wait({before})
        connection = await self.connection()
        wait = 0.0 if self._closed else params.wait_seconds
        asked = replace(params, had=params.had or (), wait_seconds=wait)
        answer = await connection.call(method, cast(P, asked), timeout=timeout)
        return cast(RecvResult, answer)
