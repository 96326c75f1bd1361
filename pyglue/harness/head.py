"""Checks the head of a request to the forwarder and creates the forwarded one.

Strict where HTTP parsers differ: what could be read in two ways is refused, and the
forwarded head has only the headers that the relay reads, so that no request can be
hidden in another. One connection carries one request.
"""

import hmac
import re
from collections import defaultdict
from typing import Final

_REQUEST: Final = re.compile(rb"([A-Z]{1,10}) (/[!-~]{0,255}) HTTP/1\.1")
_HEADER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}):[ \t]*([\t -~]*)")
_BEARER: Final = b"Bearer "
_ASKED: Final = frozenset(
    {
        (b"POST", b"/v1/messages"),
        (b"POST", b"/v1/messages/count_tokens"),
        (b"HEAD", b"/"),
    }
)
_ONCE: Final = (b"host", b"content-length", b"content-type", b"transfer-encoding")
_PASSED: Final = (
    b"accept",
    b"anthropic-beta",
    b"anthropic-version",
    b"content-length",
    b"content-type",
    b"transfer-encoding",
    b"user-agent",
)
_KINDS: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


class HeadError(Exception):
    """A request is refused with a status and a reason for its sender."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = _KINDS.get(status, "invalid_request_error")


Headers = dict[bytes, list[bytes]]


def onward(raw: bytes, *, host: str, key: str) -> bytes:
    """Return the head to forward for ``raw``, which ends with an empty line.

    Raises:
        HeadError: it is not for this ``host``, has no ``key``, or is not a request of
            the CLI.
    """
    first, *lines = raw.removesuffix(b"\r\n\r\n").split(b"\r\n")
    request = _REQUEST.fullmatch(first)
    if request is None:
        raise HeadError(400, "Invalid request line.")
    headers = _headers(lines)
    if headers.get(b"host") != [host.encode()]:
        raise HeadError(403, "Requests for another host are refused.")
    if b"origin" in headers:
        raise HeadError(403, "Requests from web pages are refused.")
    if not _shows(headers, key.encode()):
        raise HeadError(401, "Wrong API key: it changes with each start.")
    path, _, _ = request[2].partition(b"?")
    if (request[1], path) not in _ASKED:
        raise HeadError(404, "Only requests to the Messages API are forwarded.")
    if request[1] == b"POST":
        _check_body(headers)
    passed = [
        name + b": " + value
        for name in _PASSED
        for value in headers.get(name, [])
        if request[1] == b"POST" or not name.startswith((b"content", b"transfer"))
    ]
    made = [first, b"host: model", *passed, b"connection: close"]
    return b"\r\n".join(made) + b"\r\n\r\n"


def _headers(lines: list[bytes]) -> Headers:
    headers: Headers = defaultdict(list)
    for line in lines:
        found = _HEADER.fullmatch(line)
        if found is None:
            raise HeadError(400, "Invalid header line.")
        headers[found[1].lower()].append(found[2].rstrip(b" \t"))
    for name in _ONCE:
        if len(headers.get(name, ())) > 1:
            raise HeadError(400, f"The header {name.decode()} occurs more than once.")
    return dict(headers)


def _shows(headers: Headers, key: bytes) -> bool:
    """Return whether the key is present, in constant time."""
    shown = [*headers.get(b"x-api-key", [])]
    shown += [
        value.removeprefix(_BEARER)
        for value in headers.get(b"authorization", [])
        if value.startswith(_BEARER)
    ]
    return any([hmac.compare_digest(value, key) for value in shown])  # noqa: C419


def _check_body(headers: Headers) -> None:
    kind = headers.get(b"content-type", [b""])[0].lower().replace(b" ", b"")
    if kind not in (b"application/json", b"application/json;charset=utf-8"):
        raise HeadError(415, "The body must be application/json.")
    coding = headers.get(b"transfer-encoding")
    length = headers.get(b"content-length")
    if (coding is None) == (length is None):
        raise HeadError(400, "The body needs exactly one length.")
    if coding is not None and coding != [b"chunked"]:
        raise HeadError(400, "The transfer-encoding must be chunked.")
    if length is not None and re.fullmatch(rb"[0-9]{1,10}", length[0]) is None:
        raise HeadError(400, "The content-length must be a number.")
