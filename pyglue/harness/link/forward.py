"""Forwards the CLI's HTTP requests from a loopback port to the model socket.

The CLI speaks TCP; a container has no network but its own loopback, and the relay
listens on a Unix socket bound into it. (The CLI knows ANTHROPIC_UNIX_SOCKET, but it
is undocumented and changes how it signs in; a loopback address works with every
version.) The session starts one of these for as long as the harness runs.

With the host's network, every process of the machine can reach the port, and so can
web pages in its browsers. So a request needs the ``key`` of this start, which only the
CLI's environment has, the port's own Host, no Origin, and a head that ``head`` takes.
It forwards a newly created head, without the key, then the body byte for byte.
"""

import asyncio
import contextlib
import json
import logging
import secrets
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

from pyglue.harness.head import HeadError, onward
from pyglue.jsonrpc import short_path
from pyglue.limits import ForwarderLimits

_CHUNK: Final = 64 * 1024
_KEY_END: Final = "-hyperhive-forwarder"
"""The CLI asks in a terminal whether to use a key, and remembers its last 20 bytes."""

_log = logging.getLogger(__name__)


class Forwarder:
    """Listens on an ephemeral port of 127.0.0.1; use ``async with``."""

    def __init__(self, target: Path, limits: ForwarderLimits | None = None) -> None:
        """``target`` is the model socket; it may appear and be replaced later."""
        self.key = secrets.token_urlsafe(32) + _KEY_END
        """The API key that a request must have."""
        self._target = target
        self._limits = limits or ForwarderLimits()
        self._server: asyncio.Server | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._strangers: dict[asyncio.Task[None], None] = {}
        """Connections that have not shown the key yet, oldest first."""

    async def __aenter__(self) -> "Forwarder":
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", 0, limit=self._limits.head
        )
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
        return f"http://{self._host}"

    @property
    def _host(self) -> str:
        if self._server is None:
            raise AssertionError("the forwarder is not running")
        port = self._server.sockets[0].getsockname()[1]
        return f"127.0.0.1:{port}"

    def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while len(self._strangers) >= self._limits.strangers:
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            oldest.cancel()
        task = asyncio.create_task(self._carry(reader, writer))
        self._running.add(task)
        self._strangers[task] = None

        def gone(_: object) -> None:
            self._running.discard(task)
            self._strangers.pop(task, None)
            writer.close()  # even one that was cancelled before it began

        task.add_done_callback(gone)

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Forward one request and its answer, or refuse it."""
        async with contextlib.AsyncExitStack() as closing:
            closing.push_async_callback(_close, writer)
            try:
                head = await self._head(reader)
            except HeadError as error:
                await _refuse(writer, error)
                return
            if head is None:
                return
            try:
                with short_path(self._target) as name:
                    up = await asyncio.open_unix_connection(name)
            except OSError as error:
                _log.warning("the model socket does not answer: %s", error)
                return
            closing.push_async_callback(_close, up[1])
            up[1].write(head)
            await _until_first(_pump(up[0], writer), _pump(reader, up[1]))

    async def _head(self, reader: asyncio.StreamReader) -> bytes | None:
        """Return the head to forward; None if none arrived in time.

        Raises:
            HeadError: It is refused.
        """
        try:
            async with asyncio.timeout(self._limits.head_s):
                raw = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            return None
        except asyncio.LimitOverrunError:
            raise HeadError(431, "The request head is too long.") from None
        head = onward(raw, host=self._host, key=self.key)
        task = asyncio.current_task()
        known = len(self._running) - len(self._strangers)
        if known >= self._limits.connections or task is None:
            raise HeadError(
                429, "Too many concurrent requests; wait for one to finish."
            )
        self._strangers.pop(task, None)
        return head


async def _refuse(writer: asyncio.StreamWriter, error: HeadError) -> None:
    detail = {"type": error.kind, "message": error.message}
    body = json.dumps({"type": "error", "error": detail}).encode()
    head = (
        f"HTTP/1.1 {error.status} Refused\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    with contextlib.suppress(ConnectionError):
        writer.write(head.encode() + body)
        await writer.drain()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):  # the peer has gone: nothing to report
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()


async def _until_first(*pumps: Coroutine[Any, Any, None]) -> None:
    """Wait until one has ended: the answer is complete, or a side is gone."""
    tasks = [asyncio.create_task(pump) for pump in pumps]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
