"""Carries the CLI's HTTP from a loopback port to the model socket, byte for byte.

The CLI speaks TCP; a container has no network but its own loopback, and the relay
listens on a Unix socket bound into it. (The CLI knows ANTHROPIC_UNIX_SOCKET, but it
is undocumented and changes how it signs in; a loopback address works with every
version.) The session starts one of these for as long as the harness runs.
"""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

from pyglue.jsonrpc import short_path

_CHUNK: Final = 64 * 1024

_log = logging.getLogger(__name__)


class Forwarder:
    """Listens on an ephemeral port of 127.0.0.1; use ``async with``."""

    def __init__(self, target: Path) -> None:
        """``target`` is the model socket; it may appear and be replaced later."""
        self._target = target
        self._server: asyncio.Server | None = None
        self._running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Forwarder":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    @property
    def url(self) -> str:
        """The base URL for the CLI."""
        if self._server is None:
            raise AssertionError("the forwarder is not running")
        port = self._server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.create_task(self._carry(reader, writer))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Carry both ways until both sides have said their end, or one is gone."""
        async with contextlib.AsyncExitStack() as closing:
            closing.push_async_callback(_close, writer)
            try:
                with short_path(self._target) as name:
                    up = await asyncio.open_unix_connection(name)
            except OSError as error:
                _log.warning("the model socket does not answer: %s", error)
                return
            closing.push_async_callback(_close, up[1])
            await _either_failing(_pump(reader, up[1]), _pump(up[0], writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(_CHUNK):
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()  # the other direction may go on


async def _either_failing(*pumps: Coroutine[Any, Any, None]) -> None:
    """Wait for all, but stop the others as soon as one fails."""
    with contextlib.suppress(ExceptionGroup):  # a peer that went away is no news
        async with asyncio.TaskGroup() as group:
            for pump in pumps:
                group.create_task(pump)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
