"""The first request of an agent's connection: what it asks for, read by h11.

``Reader.asked`` returns either a tunnel (``CONNECT``) or a plain request with an
absolute ``http://`` URI. Whatever names the host a second time must name the same one.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

import h11

from pyglue import hosts
from pyglue.egress.refusal import bad_request
from pyglue.hosts import Host
from pyglue.limits import EgressLimits

_CHUNK: Final = 64 * 1024
_ABSOLUTE: Final = re.compile(
    r"http://([^/?#@\s]+)(/[^#\s]*|\?[^#\s]*)?", re.IGNORECASE
)
_HOP: Final = frozenset(
    (
        *(b"connection", b"keep-alive", b"proxy-connection", b"proxy-authorization"),
        *(
            b"proxy-authenticate",
            b"te",
            b"trailer",
            b"upgrade",
            b"host",
            b"http2-settings",
        ),
    )
)
"""Headers that are about one connection, and Host, which is written anew."""

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request to carry. ``first`` are the bytes of a tunnel that came with it.

    ``plain`` is the request to send on, None for a tunnel.
    """

    host: Host
    first: bytes = b""
    plain: h11.Request | None = None


class Source(Protocol):
    """What bytes are read from."""

    async def read(self, most: int, /) -> bytes:
        """Return some, none at the end."""


class Reader:
    """Reads from an agent with h11; ``connection`` is the server's side."""

    def __init__(self, reader: Source, limits: EgressLimits) -> None:
        self.connection = h11.Connection(
            h11.SERVER, max_incomplete_event_size=limits.head
        )
        self._reader = reader

    async def event(self) -> h11.Event | type[h11.PAUSED]:
        """Return the next event.

        Raises:
            h11.RemoteProtocolError: It is no HTTP.
        """
        while True:
            event = self.connection.next_event()
            if event is not h11.NEED_DATA:
                return event  # type: ignore[return-value]
            self.connection.receive_data(await self._reader.read(_CHUNK))

    async def asked(self) -> Asked | None:
        """Return the first request; None if the agent left before it.

        Raises:
            RefusedError: It cannot be carried.
        """
        try:
            event = await self.event()
            if not isinstance(event, h11.Request):
                return None
            if event.method == b"CONNECT":
                return await self._tunnel(event)
        except h11.RemoteProtocolError as error:
            raise bad_request(f"This is not HTTP/1.1: {error}.") from None
        return _plain(event)

    async def _tunnel(self, request: h11.Request) -> Asked:
        target = request.target.decode("ascii", "replace")
        host = hosts.asked(target)
        if host is None:
            raise bad_request("CONNECT needs a host and a port: CONNECT HOST:PORT.")
        check_host(request, host)
        ended = await self.event()
        if not isinstance(ended, h11.EndOfMessage):
            raise bad_request("A CONNECT request has no body.")
        return Asked(host=host, first=self.connection.trailing_data[0])


def _plain(request: h11.Request) -> Asked:
    target = request.target.decode("ascii", "replace")
    match = _ABSOLUTE.fullmatch(target)
    host = None if match is None else hosts.asked(match[1], default_port=80)
    if match is None or host is None:
        raise bad_request(
            "This is a proxy for CONNECT and for absolute http:// URIs; it serves "
            "nothing itself."
        )
    check_host(request, host)
    check_length({name for name, _ in request.headers})
    path = match[2] or "/"
    path = path if path.startswith("/") else f"/{path}"
    kept = end_to_end(request.headers)
    shown = str(host) if host.port != 80 else str(host).rpartition(":")[0]
    headers = [(b"host", shown.encode()), *kept, (b"connection", b"close")]
    return Asked(
        host=host,
        plain=h11.Request(method=request.method, target=path.encode(), headers=headers),
    )


def check_host(request: h11.Request, host: Host) -> None:
    """Refuse a request whose Host header names another host than its target."""
    for name, value in request.headers:
        if name != b"host":
            continue
        named = hosts.asked(value.decode("ascii", "replace"), default_port=host.port)
        if named != host:
            raise bad_request(
                f"The request is for {host}, but its Host header names another host."
            )


def check_length(names: Collection[bytes]) -> None:
    """Refuse a request whose headers say twice where it ends, as h11 does not."""
    if b"content-length" in names and b"transfer-encoding" in names:
        raise bad_request("Content-Length and Transfer-Encoding contradict each other.")


def answer_headers(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Return a response's headers for the agent: its connection ends with it."""
    return [*end_to_end(headers), (b"connection", b"close")]


def end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Return the headers that are not about one connection."""
    every = list(headers)
    dropped = _HOP | {
        token.strip().lower()
        for name, value in every
        if name == b"connection"
        for token in value.split(b",")
    }
    return [(name, value) for name, value in every if name not in dropped]
