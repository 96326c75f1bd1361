"""One connection of an agent: judged, connected, carried to its end.

``Carrier.serve`` is called by ``listener`` for each. A refusal is answered in HTTP; the
one rule that holds later, the server name of TLS, is answered with an alert.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

import h11

from pyglue import hosts
from pyglue.api.egress import EgressPolicy
from pyglue.egress.dial import Dialer
from pyglue.egress.hello import ALERT, HANDSHAKE, Hello, NotAHelloError
from pyglue.egress.refusal import RefusedError, not_listed, other_name
from pyglue.egress.request import Asked, Reader, answer_headers
from pyglue.egress.traffic import Traffic
from pyglue.hosts import Host
from pyglue.limits import EgressLimits

_CHUNK: Final = 256 * 1024
_ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class _Flow:
    """Bytes of one connection, and until when it may be idle."""

    idle_s: float
    sent: int = 0
    received: int = 0
    _timeout: asyncio.Timeout | None = None
    _at: float = 0.0

    async def run(self, *ways: Coroutine[Any, Any, None]) -> None:
        """Run both directions to their end, as long as something passes."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self.idle_s) as self._timeout:
            self._at = loop.time()
            tasks = [asyncio.create_task(way) for way in ways]
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def passed(self, *, sent: int = 0, received: int = 0) -> None:
        """Count bytes that were taken by the other side."""
        self.sent += sent
        self.received += received
        now = asyncio.get_running_loop().time()
        if self._timeout is not None and now - self._at > 1.0:
            self._at = now
            self._timeout.reschedule(now + self.idle_s)


@dataclass(kw_only=True)
class Carrier:
    """Carries the connections of one agent."""

    agent: str
    policy: Callable[[], EgressPolicy]
    dialer: Dialer
    traffic: Traffic
    limits: EgressLimits
    _lookups: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._lookups = asyncio.Semaphore(self.limits.lookups)

    async def serve(self, connection: socket.socket) -> None:
        """Serve one connection until it ends."""
        async with contextlib.AsyncExitStack() as closing:
            streams = await asyncio.open_unix_connection(sock=connection, limit=_CHUNK)
            closing.callback(streams[1].transport.abort)
            try:
                await self._serve(streams)
                await _finish(streams[1])
            except RefusedError as error:
                streams[1].write(error.answer())
                await _finish(streams[1])

    async def _serve(self, agent: Streams) -> None:
        reader = Reader(agent[0], self.limits)
        try:
            async with asyncio.timeout(self.limits.head_s):
                asked = await reader.asked()
        except (TimeoutError, ConnectionError):
            return
        if asked is None:
            return
        out = await self._connected(asked.host)
        self.traffic.connected(self.agent, asked.host)
        flow = _Flow(self.limits.idle_s)
        try:
            with contextlib.suppress(TimeoutError, ConnectionError):
                if asked.plain is None:
                    await self._tunnel(asked, agent, out, flow)
                else:
                    await _exchange(reader, asked.plain, agent, out, flow)
        finally:
            out[1].transport.abort()
            self.traffic.passed(
                self.agent, asked.host, sent=flow.sent, received=flow.received
            )

    async def _connected(self, host: Host) -> Streams:
        try:
            policy = self.policy()
            if policy.halted is not None:
                raise RefusedError(503, policy.halted)
            if not hosts.allows(policy.allow, host):
                raise not_listed(host)
            sock = await self.dialer.connect(host, self._lookups)
        except RefusedError as error:
            self.traffic.connected(self.agent, host, error.sentence)
            raise
        return await asyncio.open_connection(sock=sock, limit=_CHUNK)

    # --- tunnels ----------------------------------------------------------------------

    async def _tunnel(
        self, asked: Asked, agent: Streams, out: Streams, flow: _Flow
    ) -> None:
        agent[1].write(_ESTABLISHED)
        try:
            await flow.run(
                self._up(asked, agent[0], out[1], flow), _down(out[0], agent[1], flow)
            )
        except RefusedError as error:
            self.traffic.connected(self.agent, asked.host, error.sentence)
            agent[1].write(ALERT)

    async def _up(
        self,
        asked: Asked,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        flow: _Flow,
    ) -> None:
        data = asked.first or await reader.read(_CHUNK)
        if data and data[0] == HANDSHAKE:
            async with asyncio.timeout(self.limits.head_s):
                data = await self._hello(asked.host, data, reader)
        while data:
            writer.write(data)
            await writer.drain()
            flow.passed(sent=len(data))
            data = await reader.read(_CHUNK)
        if writer.can_write_eof():
            writer.write_eof()

    async def _hello(
        self, host: Host, data: bytes, reader: asyncio.StreamReader
    ) -> bytes:
        """Return the bytes up to the end of a ClientHello for this host."""
        hello, held = Hello(), b""
        try:
            while data and len(held) <= self.limits.head:
                held += data
                hello.feed(data)
                if hello.is_whole:
                    break
                data = await reader.read(_CHUNK)
        except NotAHelloError:
            raise other_name(host, "nothing readable (TLS 1.2 is needed)") from None
        if not hello.is_whole:
            raise other_name(host, "nothing: its ClientHello does not end")
        if hello.name is not None and hello.name.lower() != host.name:
            raise other_name(host, hello.name)
        return held


async def _down(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flow: _Flow
) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
        flow.passed(received=len(data))
    if writer.can_write_eof():
        writer.write_eof()


# --- plain requests -------------------------------------------------------------------


async def _exchange(
    reader: Reader, request: h11.Request, agent: Streams, out: Streams, flow: _Flow
) -> None:
    """Carry one request and its response; the connections end with it."""
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=_CHUNK)

    async def up() -> None:
        data = client.send(request) or b""
        while True:
            out[1].write(data)
            await out[1].drain()
            flow.passed(sent=len(data))
            event = await reader.event()
            if not isinstance(event, h11.Data | h11.EndOfMessage):
                return
            data = client.send(event) or b""
            if isinstance(event, h11.EndOfMessage):
                out[1].write(data)
                flow.passed(sent=len(data))
                return

    async def down() -> None:
        server = reader.connection
        while True:
            event = client.next_event()
            if event is h11.NEED_DATA:
                client.receive_data(await out[0].read(_CHUNK))
                continue
            if isinstance(event, h11.Response | h11.InformationalResponse):
                headers = answer_headers(event.headers)
                kind = type(event)
                event = kind(
                    status_code=event.status_code, headers=headers, reason=event.reason
                )
            if not isinstance(
                event,
                h11.Response | h11.InformationalResponse | h11.Data | h11.EndOfMessage,
            ):
                return
            data = server.send(event) or b""
            agent[1].write(data)
            await agent[1].drain()
            flow.passed(received=len(data))
            if isinstance(event, h11.EndOfMessage):
                return

    uploading = asyncio.create_task(up())
    try:
        with contextlib.suppress(h11.ProtocolError):
            await flow.run(down())
    finally:
        uploading.cancel()
        await asyncio.gather(uploading, return_exceptions=True)


async def _finish(writer: asyncio.StreamWriter) -> None:
    """Send what is written, within the time that a reader gets."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(10.0):
            writer.close()
            await writer.wait_closed()
