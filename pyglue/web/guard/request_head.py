"""The head of an HTTP request, parsed as far as receiving the rest requires.

``listener`` only passes on complete requests, so it must determine their end exactly as
gunicorn does: anything ambiguous is refused. Bodies have a length; chunks, which
browsers do not send, are refused.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from pyglue.limits import HttpLimits
from pyglue.web import problem

PEER: Final = "X-Hive-Peer"
"""The client, reported by ``listener`` to the app; accepted from nobody else."""
_END: Final = b"\r\n\r\n"
_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_LINE: Final = re.compile(rb"[A-Z]{1,16} [!-~]+ HTTP/1\.[01]")
_LENGTH: Final = re.compile(rb"[0-9]{1,12}")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class RefusedError(Exception):
    """A request is answered only with a status and a sentence."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence

    def answer(self) -> bytes:
        """Return the complete answer."""
        body = problem.body(
            self.status.value, problem.code_of(self.status), self.sentence
        )
        return (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}\r\n"
            f"Content-Type: {problem.CONTENT_TYPE}\r\n"
            f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\n"
            "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
        ).encode() + body


@dataclass(frozen=True, kw_only=True)
class Head:
    """The relevant parts of a head. ``text`` is the head to pass on, with its end."""

    text: bytes
    length: int
    waits: bool
    """Whether the client waits for a request to send the body."""
    upgrades: bool
    """Whether it requests a WebSocket."""
    host: str


def end_of(received: bytearray, searched: int) -> int:
    """Return the end of the head, -1 if there is none after ``searched`` bytes."""
    found = received.find(_END, max(0, searched - len(_END)))
    return -1 if found < 0 else found + len(_END)


def check_line(received: bytes | bytearray, limits: HttpLimits) -> None:
    """Refuse an overlong request line as early as possible.

    Raises:
        RefusedError: 414.
    """
    if received.find(b"\r\n", 0, limits.line_bytes + 2) < 0 and (
        len(received) > limits.line_bytes + 1
    ):
        raise RefusedError(
            HTTPStatus.REQUEST_URI_TOO_LONG,
            f"The request line is longer than {limits.line_bytes:,} bytes. Ask for "
            "less in one request.",
        )


def _check_fields(lines: Sequence[bytes], limits: HttpLimits) -> None:
    longest = max(map(len, lines), default=0)
    if len(lines) <= limits.fields and longest <= limits.field_bytes:
        return
    raise RefusedError(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        f"A request may have at most {limits.fields} headers of "
        f"{limits.field_bytes:,} bytes each.",
    )


def read(received: bytes, peer: str, limits: HttpLimits) -> Head:
    """Parse a head.

    Raises:
        RefusedError: it is ambiguous, malformed or too large.
    """
    check_line(received, limits)
    first, *lines = received.removesuffix(_END).split(b"\r\n")
    if not _LINE.fullmatch(first):
        raise _bad("The request line is malformed.")
    _check_fields(lines, limits)
    fields: dict[bytes, bytes] = {}
    kept = [first, f"{PEER}: {peer}".encode()]
    for line in lines:
        name, colon, value = line.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        if not colon or not _NAME.fullmatch(name) or _CONTROL.search(value):
            raise _bad("A header line is malformed.")
        if name in (b"content-length", b"transfer-encoding", b"host") and (
            name in fields
        ):
            raise _bad(f"The header {name.decode()} occurs more than once.")
        if name == PEER.lower().encode():
            raise _bad(f"The header {PEER} is not allowed in requests.")
        if b"_" in name:
            continue  # the app could not distinguish it from the one with a dash
        fields[name] = value
        if name != b"expect":
            kept.append(line)
    return Head(
        text=b"\r\n".join(kept) + _END,
        length=_length(fields),
        waits=fields.get(b"expect", b"").lower() == b"100-continue",
        upgrades=b"upgrade" in fields,
        host=fields.get(b"host", b"").decode("latin-1"),
    )


def _length(fields: dict[bytes, bytes]) -> int:
    if b"transfer-encoding" in fields:
        raise _bad(
            "Transfer-Encoding is not supported. Send the whole body, with its "
            "Content-Length."
        )
    length = fields.get(b"content-length", b"0")
    if not _LENGTH.fullmatch(length):
        raise _bad("The Content-Length is not a number.")
    return int(length)


def _bad(sentence: str) -> RefusedError:
    return RefusedError(HTTPStatus.BAD_REQUEST, sentence)
