"""One connection of an agent: judged, connected, carried to its end.

``Carrier.serve`` is called by ``listener`` for each. A refusal is answered in HTTP; the
one rule that holds later, the server name of TLS, is answered with an alert.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from pyglue import hosts
from pyglue.api.egress import EgressPolicy
from pyglue.egress.dial import Dialer
from pyglue.egress.exchange import Flow, Streams, exchange
from pyglue.egress.hello import ALERT, HANDSHAKE, Hello, NotAHelloError
from pyglue.egress.inject import Injector, Lines
from pyglue.egress.refusal import RefusedError, not_listed, only_tls, other_name
from pyglue.egress.request import Asked, Reader
from pyglue.egress.traffic import Traffic
from pyglue.hosts import Host
from pyglue.limits import EgressLimits

_CHUNK: Final = 256 * 1024
_ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"


@dataclass(kw_only=True)
class Carrier:
    """Carries the connections of one agent."""

    agent: str
    policy: Callable[[], EgressPolicy]
    dialer: Dialer
    traffic: Traffic
    limits: EgressLimits
    injector: Injector
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
        out, lines = await self._connected(asked)
        self.traffic.connected(self.agent, asked.host)
        flow = Flow(
            self.limits.idle_s, partial(self.traffic.passed, self.agent, asked.host)
        )
        try:
            with contextlib.suppress(TimeoutError, ConnectionError):
                if lines is not None:
                    await self._inject(asked, agent, out, lines, flow)
                elif asked.plain is None:
                    await self._tunnel(asked, agent, out, flow)
                else:
                    await exchange(reader, asked.plain, agent[1], out, flow)
        finally:
            out[1].transport.abort()

    async def _connected(self, asked: Asked) -> tuple[Streams, Lines | None]:
        """Connect; return the headers with secrets, None if there are to be none."""
        host = asked.host
        try:
            policy = self.policy()
            if policy.halted is not None:
                raise RefusedError(503, policy.halted)
            if policy.used_up is not None and time.time() < policy.used_up_until:
                raise RefusedError(429, policy.used_up)
            if not hosts.allows(policy.allow, host):
                raise not_listed(host)
            if str(host) not in policy.inject:
                sock = await self.dialer.connect(host, self._lookups)
                return await asyncio.open_connection(sock=sock, limit=_CHUNK), None
            if asked.plain is not None:
                raise only_tls(host)
            lines = await self.injector.lines(self.agent, host)
            sock = await self.dialer.connect(host, self._lookups)
            return await self.injector.outside(sock, host), lines
        except RefusedError as error:
            self.traffic.connected(self.agent, host, error.sentence)
            raise

    async def _inject(
        self, asked: Asked, agent: Streams, out: Streams, lines: Lines, flow: Flow
    ) -> None:
        agent[1].write(_ESTABLISHED)
        refused = await self.injector.carry(asked, agent, out, lines, flow)
        if refused is not None:
            self.traffic.connected(self.agent, asked.host, refused)

    # --- tunnels ----------------------------------------------------------------------

    async def _tunnel(
        self, asked: Asked, agent: Streams, out: Streams, flow: Flow
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
        flow: Flow,
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
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flow: Flow
) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
        flow.passed(received=len(data))
    if writer.can_write_eof():
        writer.write_eof()


async def _finish(writer: asyncio.StreamWriter) -> None:
    """Send what is written, within the time that a reader gets."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(10.0):
            writer.close()
            await writer.wait_closed()
