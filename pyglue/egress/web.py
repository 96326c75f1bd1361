"""HTTP in a tunnel to port 80: every request is parsed, and must be for its host.

For programs that use a tunnel for ``http://``, such as Node's ``fetch`` and WebSockets.
Each request is parsed strictly and serialized again; the next one is read once the
response is complete. After the host has switched to WebSocket, bytes pass unchanged.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

import h11

from pyglue.egress.exchange import Flow, exchange
from pyglue.egress.refusal import RefusedError, bad_request
from pyglue.egress.request import UPGRADE, Header, Reader, absolute, check_host, to_host
from pyglue.egress.strict import strict_request
from pyglue.limits import EgressLimits
from pyglue.net.forwarding import Side, join
from pyglue.net.hosts import Host

_CHUNK: Final = 256 * 1024
_STARTS: Final = frozenset(
    b"!#$%&'*+-.^_`|~0123456789"
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    b"\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0"
)
"""The characters of methods, and the space that some servers skip before them."""


def begins_like_http(data: bytes) -> bool:
    """Return whether an HTTP server could parse this as the start of a request."""
    return data[:1] != b"" and data[0] in _STARTS


class _Ahead:
    """An agent's side, with bytes that have already been read."""

    def __init__(self, first: bytes, agent: Side) -> None:
        self.first = first
        """The bytes that were read but not consumed."""
        self._agent = agent

    async def read(self, most: int) -> bytes:
        """Return the next bytes, or none at the end."""
        if self.first:
            data, self.first = self.first[:most], self.first[most:]
            return data
        return await self._agent.read(most)


@dataclass(frozen=True, kw_only=True)
class Web:
    """The requests of one tunnel."""

    host: Host
    agent: Side
    out: Side
    flow: Flow
    limits: EgressLimits

    async def carry(self, first: bytes) -> str | None:
        """Relay requests until one side ends; return the reason if one was refused.

        Raises:
            TimeoutError: The agent is too slow.
            ConnectionError: The agent or the host disconnected.
        """
        self.out.keep()
        try:
            while first:
                first = await self._one(first)
        except RefusedError as error:
            self.agent.write(error.answer())
            return error.sentence
        return None

    async def _one(self, first: bytes) -> bytes:
        """Relay one request; return the first bytes of the next, or none at the end."""
        source = _Ahead(first, self.agent)
        reader = Reader(source, self.limits)
        async with asyncio.timeout(self.limits.head_s):
            request = await strict_request(source, reader, self.limits.head)
        if request is None:
            return b""
        sent = _for(self.host, request)
        back = await exchange(reader, sent, self.agent, self.out, self.flow, keeps=True)
        rest = reader.connection.trailing_data[0] + source.first
        unread = back.trailing_data[0]
        if back.their_state is h11.SWITCHED_PROTOCOL:
            self.out.write(rest)
            self.agent.write(unread)
            self.flow.sent(len(rest))
            self.flow.received(len(unread))
            await join(self.agent, self.out, self.flow.sent, self.flow.received)
            return b""
        ended = {*reader.connection.states.values(), *back.states.values()}
        if ended != {h11.DONE} or unread:
            return b""
        return rest or await self._next()

    async def _next(self) -> bytes:
        """Wait for the next request; return no bytes if either side ends first.

        Unsolicited bytes from the host mean that it is about to close.
        """
        asked = asyncio.create_task(self.agent.read(_CHUNK))
        hung_up = asyncio.create_task(self.out.read(1))
        tasks = (asked, hung_up)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return b"" if hung_up.done() else await asked
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _for(host: Host, request: h11.Request) -> h11.Request:
    """Return the request for the host.

    Raises:
        RefusedError: It is for another host.
    """
    if request.method.upper() == b"CONNECT":
        raise RefusedError(403, f"CONNECT is refused in a tunnel to {host}.")
    path = request.target
    found = absolute(request)
    if found is not None and found[0] == host:
        path = found[1]
    elif not path.startswith(b"/") and (request.method, path) != (b"OPTIONS", b"*"):
        raise bad_request(f"Send only the path: this tunnel is to {host}.")
    check_host(request, host)
    names = {
        value.strip().lower() for name, value in request.headers if name == b"upgrade"
    }
    upgrade: tuple[Header, ...] = UPGRADE if names == {b"websocket"} else ()
    return to_host(request, host, path, upgrade)
