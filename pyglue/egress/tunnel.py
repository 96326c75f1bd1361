"""A tunnel of an agent: its first bytes decide how the rest is relayed.

``carry`` calls it once it is connected. TLS must name the host of the tunnel; on port
80, HTTP requests are parsed (``web``); anything else passes unchanged.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from pyglue.egress.exchange import Flow
from pyglue.egress.hello import ALERT, HANDSHAKE, Hello, NotAHelloError
from pyglue.egress.refusal import RefusedError, other_name
from pyglue.egress.request import Asked
from pyglue.egress.web import Web, begins_like_http
from pyglue.limits import EgressLimits
from pyglue.net.forwarding import Side, join
from pyglue.net.hosts import Host

_CHUNK: Final = 256 * 1024
HTTP_PORTS: Final = frozenset({80})


@dataclass(frozen=True, kw_only=True)
class Tunnel:
    """One tunnel between an agent and the requested host."""

    asked: Asked
    agent: Side
    out: Side
    flow: Flow
    limits: EgressLimits

    async def carry(self) -> str | None:
        """Relay it to its end; return the reason if it was refused.

        Raises:
            TimeoutError: The agent is too slow.
            ConnectionError: The agent or the host disconnected.
        """
        self.out.lead(self.agent, self.flow.received)  # the host may speak first
        first = self.asked.first or await self.agent.read(_CHUNK)
        host = self.asked.host
        if first and first[0] == HANDSHAKE:
            try:
                async with asyncio.timeout(self.limits.head_s):
                    first = await self._hello(host, first)
            except RefusedError as error:
                self.agent.write(ALERT)
                return error.sentence
        elif host.port in HTTP_PORTS and begins_like_http(first):
            web = Web(
                host=host,
                agent=self.agent,
                out=self.out,
                flow=self.flow,
                limits=self.limits,
            )
            return await web.carry(first)
        self.out.write(first)
        self.flow.sent(len(first))
        await join(self.agent, self.out, self.flow.sent, self.flow.received)
        return None

    async def _hello(self, host: Host, data: bytes) -> bytes:
        """Return the bytes up to the end of a ClientHello for this host."""
        hello, held = Hello(), b""
        try:
            while data and len(held) <= self.limits.head:
                held += data
                hello.feed(data)
                if hello.is_whole:
                    break
                data = await self.agent.read(_CHUNK)
        except NotAHelloError:
            raise other_name(host, "nothing readable (TLS 1.2 is needed)") from None
        if not hello.is_whole:
            raise other_name(host, "nothing: its ClientHello is incomplete")
        if hello.name is not None and hello.name.lower() != host.name:
            raise other_name(host, hello.name)
        return held
