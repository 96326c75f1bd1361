"""One connection of an agent: checked, connected, and relayed until it ends.

``listener`` calls ``Carrier.serve`` for each connection. A refusal is an HTTP response;
later refusals, within a tunnel, are sent through the tunnel.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from pyglue.api.egress import EgressPolicy
from pyglue.egress.dial import Dialer
from pyglue.egress.exchange import Flow, exchange
from pyglue.egress.inject import Injector, Lines
from pyglue.egress.refusal import RefusedError, not_listed, only_tls
from pyglue.egress.request import Asked, Reader
from pyglue.egress.traffic import Traffic
from pyglue.egress.tunnel import Tunnel
from pyglue.limits import EgressLimits
from pyglue.net import hosts
from pyglue.net.forwarding import Scratch, Side

_ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"
_FINISH_S: Final = 10.0
"""How long an agent may take to read the end of a response, in seconds."""


@dataclass(kw_only=True)
class Carrier:
    """Relays the connections of one agent."""

    agent: str
    policy: Callable[[], EgressPolicy]
    dialer: Dialer
    traffic: Traffic
    limits: EgressLimits
    injector: Injector
    scratch: Scratch
    _lookups: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._lookups = asyncio.Semaphore(self.limits.lookups)

    def _side(self) -> Side:
        return Side(self.scratch)

    async def serve(self, connection: socket.socket) -> None:
        """Serve one connection until it ends."""
        loop = asyncio.get_running_loop()
        _, agent = await loop.connect_accepted_socket(self._side, connection)
        try:
            try:
                await self._serve(agent)
            except RefusedError as error:
                agent.write(error.answer())
            agent.close()
            await asyncio.wait({agent.gone}, timeout=_FINISH_S)
        finally:
            agent.abort()

    async def _serve(self, agent: Side) -> None:
        reader = Reader(agent, self.limits)
        try:
            async with asyncio.timeout(self.limits.head_s):
                asked = await reader.asked()
        except (TimeoutError, ConnectionError):
            return
        if asked is None:
            return
        out, lines = await self._connected(asked, agent)
        host = asked.host
        self.traffic.connected(self.agent, host)
        flow = Flow(self.limits.idle_s, partial(self.traffic.passed, self.agent, host))
        refused = None
        try:
            with contextlib.suppress(TimeoutError, ConnectionError):
                async with flow.running():
                    if asked.plain is not None:
                        await exchange(reader, asked.plain, agent, out, flow)
                    elif lines is not None:
                        refused = await self.injector.carry(
                            asked, agent, out, lines, flow
                        )
                    else:
                        refused = await Tunnel(
                            asked=asked,
                            agent=agent,
                            out=out,
                            flow=flow,
                            limits=self.limits,
                        ).carry()
        finally:
            out.abort()
        if refused is not None:
            self.traffic.connected(self.agent, host, refused)

    async def _connected(self, asked: Asked, agent: Side) -> tuple[Side, Lines | None]:
        """Connect; return the headers with secrets, None if the host gets none."""
        host = asked.host
        lines = None
        try:
            policy = self.policy()
            if policy.halted is not None:
                raise RefusedError(503, policy.halted)
            if policy.used_up is not None and time.time() < policy.used_up_until:
                raise RefusedError(429, policy.used_up)
            if not hosts.allows(policy.allow, host):
                raise not_listed(host)
            if str(host) in policy.inject:
                if asked.plain is not None:
                    raise only_tls(host)
                lines = await self.injector.lines(self.agent, host)
            sock = await self.dialer.connect(host, self._lookups)
            if lines is not None:
                out = await self.injector.outside(sock, host)
        except RefusedError as error:
            self.traffic.connected(self.agent, host, error.sentence)
            raise
        if asked.plain is None:
            agent.write(_ESTABLISHED)
        if lines is None:
            loop = asyncio.get_running_loop()
            _, out = await loop.create_connection(self._side, sock=sock)
        return out, lines
