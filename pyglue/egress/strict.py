"""A request in a connection to one host, parsed more strictly than HTTP requires.

``inject`` puts secrets into it, and ``web`` relays one after the other, so it must not
be ambiguous (two parsers could see two different requests) or name another host than
the connection's. h11 parses it and serializes it again; anything that it would tolerate
or repair is refused here first.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

import h11

from pyglue.api.egress import HeaderLine
from pyglue.egress.refusal import RefusedError, bad_request
from pyglue.egress.request import (
    CLOSE,
    Reader,
    Source,
    check_host,
    check_length,
    end_to_end,
)
from pyglue.net.hosts import Host

_CHUNK: Final = 64 * 1024
_END: Final = b"\r\n\r\n"
_LOOSE: Final = re.compile(rb"(?<!\r)\n|\r(?!\n)|\0|\r\n[ \t]|^\r\n")
"""Bare CR and LF, NUL, a folded header, an empty first line."""
_ONCE: Final = (b"host", b"content-length", b"transfer-encoding")
_REFUSED: Final = frozenset({b"TRACE", b"TRACK", b"CONNECT"})
"""They would echo the secret to the agent, or open a tunnel that is not inspected."""
_ABOUT_CONNECTION: Final = frozenset({b"close", b"keep-alive", b"te"})
_IDENTITY: Final = (b"accept-encoding", b"identity")


async def request_of(
    source: Source, reader: Reader, host: Host, lines: Sequence[HeaderLine], most: int
) -> h11.Request | None:
    """Return the request with secrets; None if the agent disconnected before it.

    Raises:
        RefusedError: It is ambiguous, or for another host.
    """
    request = await strict_request(source, reader, most)
    return None if request is None else _with_lines(request, host, lines)


async def strict_request(
    source: Source, reader: Reader, most: int
) -> h11.Request | None:
    """Return the request as sent; None if the agent disconnected before it.

    Raises:
        RefusedError: It is ambiguous.
    """
    data = await _head(source, most)
    if not data:
        return None
    reader.connection.receive_data(data)
    try:
        event = await reader.event()
    except h11.RemoteProtocolError as error:
        raise bad_request(f"This is not HTTP/1.1: {error}.") from None
    return event if isinstance(event, h11.Request) else None


async def _head(source: Source, most: int) -> bytes:
    """Return the bytes of a head, and those received after it."""
    data = head = b""
    while _END not in data:
        more = await source.read(_CHUNK)
        if not more:
            return b""
        data += more
        head = data.partition(_END)[0]
        if len(head) > most:
            raise bad_request(f"The request's head is larger than {most} bytes.")
        _refuse_loose(head)
    names = Counter(
        line.partition(b":")[0].strip().lower() for line in head.split(b"\r\n")[1:]
    )
    for name in _ONCE:
        if names[name] > 1:
            raise bad_request(f"The header {name.decode()} occurs twice.")
    check_length(names)
    return data


def _refuse_loose(head: bytes) -> None:
    if _LOOSE.search(head.removesuffix(b"\r")):  # its LF may not have arrived yet
        raise bad_request(
            "End header lines with CR LF; do not continue a header on the next line."
        )


def _with_lines(
    request: h11.Request, host: Host, lines: Sequence[HeaderLine]
) -> h11.Request:
    """Return the request with the secret headers."""
    if request.method.upper() in _REFUSED:
        method = request.method.decode("ascii", "replace")
        raise RefusedError(
            403, f"{method} is refused where requests carry a secret of yours."
        )
    if not request.target.startswith(b"/"):
        raise bad_request(f"Send only the path: this connection is to {host}.")
    check_host(request, host)
    names = {name for name, _ in request.headers}
    if b"upgrade" in names or b"http2-settings" in names:
        raise bad_request(
            "Upgrade is refused where requests carry a secret: use HTTP/1.1."
        )
    for name, value in request.headers:
        tokens = {one.strip().lower() for one in value.split(b",")}
        if name == b"connection" and not tokens <= _ABOUT_CONNECTION:
            raise bad_request("The Connection header must be close or keep-alive here.")
    ours = {one.name.encode(): one.value.encode() for one in lines}
    kept = [
        (name, value)
        for name, value in end_to_end(request.headers)
        if name.replace(b"_", b"-") not in ours and name != _IDENTITY[0]
    ]
    shown = host.name if host.port == 443 else str(host)
    return h11.Request(
        method=request.method,
        target=request.target,
        headers=[
            (b"host", shown.encode()),
            *kept,
            *ours.items(),
            _IDENTITY,  # uncompressed, so that repeated secrets can be masked
            *CLOSE,
        ],
    )
