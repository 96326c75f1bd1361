"""The first request of an agent's connection, parsed by h11.

``Reader.asked`` returns either a tunnel (``CONNECT``) or a plain request with an
absolute ``http://`` URI. If the host is named twice, both names must be the same.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

import h11

from pyglue.egress.refusal import bad_request
from pyglue.limits import EgressLimits
from pyglue.net import hosts
from pyglue.net.hosts import Host

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
"""Hop-by-hop headers, and Host, which is written again."""

_SWITCHING: Final = 101
CLOSE: Final = ((b"connection", b"close"),)
UPGRADE: Final = ((b"upgrade", b"websocket"), (b"connection", b"Upgrade"))
"""The only allowed upgrade, in a tunnel to port 80."""

Header = tuple[bytes, bytes]
Headers = list[Header]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request to relay. ``first`` are bytes of the tunnel that came with it.

    ``plain`` is the request to send, None for a tunnel.
    """

    host: Host
    first: bytes = b""
    plain: h11.Request | None = None


class Source(Protocol):
    """The source of bytes."""

    async def read(self, most: int, /) -> bytes:
        """Return some bytes, or none at the end."""


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
            h11.RemoteProtocolError: It is not HTTP.
        """
        while True:
            event = self.connection.next_event()
            if event is not h11.NEED_DATA:
                return event  # type: ignore[return-value]
            self.connection.receive_data(await self._reader.read(_CHUNK))

    async def asked(self) -> Asked | None:
        """Return the first request; None if the agent disconnected before it.

        Raises:
            RefusedError: It is invalid.
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
    found = absolute(request)
    if found is None:
        raise bad_request(
            "This is a proxy for CONNECT and absolute http:// URIs; it serves no "
            "content itself."
        )
    host, path = found
    check_host(request, host)
    check_length({name for name, _ in request.headers})
    return Asked(host=host, plain=to_host(request, host, path, CLOSE))


def absolute(request: h11.Request) -> tuple[Host, bytes] | None:
    """Return host and path of an absolute http:// URI; None for other targets."""
    match = _ABSOLUTE.fullmatch(request.target.decode("ascii", "replace"))
    host = None if match is None else hosts.asked(match[1], default_port=80)
    if match is None or host is None:
        return None
    path = match[2] or "/"
    return host, (path if path.startswith("/") else f"/{path}").encode()


def to_host(
    request: h11.Request, host: Host, path: bytes, connection: Iterable[Header]
) -> h11.Request:
    """Return the request for a host, with these hop-by-hop headers."""
    shown = str(host) if host.port != 80 else str(host).rpartition(":")[0]
    headers = [(b"host", shown.encode()), *end_to_end(request.headers), *connection]
    return h11.Request(method=request.method, target=path, headers=headers)


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
    """Refuse a request with both headers for its length, which h11 accepts."""
    if b"content-length" in names and b"transfer-encoding" in names:
        raise bad_request("Content-Length and Transfer-Encoding contradict each other.")


def answer_headers(
    event: h11.Response | h11.InformationalResponse, *, keeps: bool
) -> Headers:
    """Return a response's headers for the agent.

    The connection closes after it, unless ``keeps`` is set and the host's stays open.
    """
    kept = end_to_end(event.headers)
    if event.status_code == _SWITCHING:
        return [*kept, *UPGRADE]
    ends = event.http_version < b"1.1" or b"close" in _about_connection(event.headers)
    return [*kept, *CLOSE] if ends or not keeps else kept


def end_to_end(headers: Iterable[Header]) -> Headers:
    """Return the end-to-end headers."""
    every = list(headers)
    dropped = _HOP | _about_connection(every)
    return [(name, value) for name, value in every if name not in dropped]


def _about_connection(headers: Iterable[Header]) -> set[bytes]:
    return {
        token.strip().lower()
        for name, value in headers
        if name == b"connection"
        for token in value.split(b",")
    }
