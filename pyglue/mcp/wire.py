"""The lines of MCP over stdio: JSON-RPC 2.0, one message per line.

It is not the envelope of ``pyglue.jsonrpc``: a client's ids may be strings, and errors
have MCP's codes.
"""

import re
from typing import Any, Final, NamedTuple

import msgspec

from pyglue import strict_json
from pyglue.strict_json import JsonError

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603

Id = int | str

_HALVES: Final = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_NO_PARAMS: Final = msgspec.Raw(b"{}")


class RefusedError(Exception):
    """The client's line is refused, with a code of JSON-RPC; ``id`` if it is known."""

    def __init__(self, code: int, message: str, request: Id | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.id = code, message, request


class Incoming(NamedTuple):
    """A request, or a notification where ``id`` is None."""

    id: Id | None
    method: str
    params: msgspec.Raw


class _Envelope(msgspec.Struct, frozen=True):
    jsonrpc: str
    id: Id | msgspec.UnsetType = msgspec.UNSET
    method: str | None = None
    params: msgspec.Raw = _NO_PARAMS


class _Loose(msgspec.Struct, frozen=True):
    id: msgspec.Raw = msgspec.Raw(b"null")


def decode(line: bytes) -> Incoming | None:
    """Return the message of a line; None for an answer, because this side asks nothing.

    Raises:
        RefusedError: it is not JSON, or not a message.
    """
    try:
        strict_json.read(line, object)
    except JsonError as error:
        raise RefusedError(PARSE_ERROR, error.message, _id_of(line)) from error
    try:
        found = strict_json.read(line, _Envelope, what="request")
    except JsonError as error:
        raise RefusedError(INVALID_REQUEST, error.message, _id_of(line)) from error
    request = None if isinstance(found.id, msgspec.UnsetType) else found.id
    if found.jsonrpc != "2.0":
        text = "Invalid request: 'jsonrpc' must be '2.0'."
        raise RefusedError(INVALID_REQUEST, text, request)
    if found.method is None:
        return None
    return Incoming(request, found.method, found.params)


def _id_of(line: bytes) -> Id | None:
    whole = _HALVES.sub(rb"\\n", line)  # an escape as well, also after a backslash
    try:
        raw = strict_json.read(whole, _Loose).id
        return strict_json.read(raw, Id)  # type: ignore[no-any-return]
    except JsonError:
        return None


def result(request: Id, value: object) -> bytes:
    """Return the line that answers a request."""
    return _line(id=request, result=value)


def error(refused: RefusedError) -> bytes:
    """Return the line that refuses a request, or a line that is not one."""
    error = {"code": refused.code, "message": refused.message}
    return _line(id=refused.id, error=error)


def notification(method: str, params: dict[str, Any]) -> bytes:
    """Return the line of a notification."""
    return _line(method=method, params=params)


def _line(**parts: object) -> bytes:
    return msgspec.json.encode({"jsonrpc": "2.0", **parts}) + b"\n"
