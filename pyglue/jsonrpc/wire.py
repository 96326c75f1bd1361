"""The lines themselves: envelopes, their encoding, and errors in transit.

Used by the server and both clients; nothing here knows about sockets.
"""

from typing import Any, Final, TypeVar

import msgspec

from pyglue import strict_json
from pyglue.api.common import Params
from pyglue.errors import ErrorCode, HiveError, PeerError

_APPLICATION_ERROR: Final = -32000
_STANDARD_ERRORS: Final = {
    ErrorCode.BAD_REQUEST: -32602,
    ErrorCode.UNKNOWN_METHOD: -32601,
    ErrorCode.INTERNAL: -32603,
}

T = TypeVar("T")


class WireError(msgspec.Struct, frozen=True):
    """The error object of an answer."""

    code: int
    message: str
    data: dict[str, Any] | None = None


class Envelope(msgspec.Struct, frozen=True):
    """Any incoming line; the fields that are set tell what it is."""

    jsonrpc: str = ""
    id: int | None = None
    method: str | None = None
    params: msgspec.Raw = msgspec.Raw(b"{}")
    result: msgspec.Raw = msgspec.Raw(b"{}")
    error: WireError | None = None


decode_envelope: Final = strict_json.reader(Envelope, what="request")
_encoder: Final = msgspec.json.Encoder().encode


def _encode(envelope: dict[str, object]) -> bytes:
    try:
        return _encoder(envelope)
    except UnicodeEncodeError as error:
        wrong = ord(error.object[error.start])
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            f"Invalid arguments: not Unicode: U+{wrong:04X} at character "
            f"{error.start + 1} is half of a surrogate pair. Send whole characters.",
        ) from None


def call_line(request: int, name: str, params: Params) -> bytes:
    """Return the line that calls ``name``."""
    envelope = {"jsonrpc": "2.0", "id": request, "method": name, "params": params}
    return _encode(envelope) + b"\n"


def check_length(line: bytes, longest: float, name: str) -> bytes:
    """Return a line that the other side accepts: a longer one would end the connection.

    Raises:
        HiveError: ``too_large``; nothing was sent.
    """
    if len(line) - 1 > longest:
        raise HiveError(
            ErrorCode.TOO_LARGE,
            f"The parameters of {name} take {len(line)} bytes as JSON; the limit is "
            f"{longest}. Send smaller parts.",
        )
    return line


def note_line(name: str, params: Params) -> bytes:
    """Return the line of a notification."""
    return _encode({"jsonrpc": "2.0", "method": name, "params": params}) + b"\n"


def result_line(request: int, result: object) -> bytes:
    """Return the line that answers ``request``."""
    return _encode({"jsonrpc": "2.0", "id": request, "result": result}) + b"\n"


def error_line(request: int | None, error: HiveError) -> bytes:
    """Return the line that refuses ``request``, or the whole connection if None."""
    wire = {
        "code": _STANDARD_ERRORS.get(error.code, _APPLICATION_ERROR),
        "message": error.message,
        "data": {**error.details, "code": error.code.value},
    }
    return _encode({"jsonrpc": "2.0", "id": request, "error": wire}) + b"\n"


def decode_result(envelope: Envelope, result: type[T]) -> T:
    """Return the typed answer.

    Raises:
        HiveError: the error that came instead, or ``internal`` for a wrong shape.
    """
    if envelope.error is not None:
        raise _from_wire(envelope.error)
    return strict_json.read(
        envelope.result, result, what="answer", code=ErrorCode.INTERNAL
    )


def lost() -> HiveError:
    """Return the error for a caller whose connection was lost."""
    return HiveError(
        ErrorCode.UNAVAILABLE, "The connection was lost before the answer came."
    )


def _from_wire(error: WireError) -> PeerError:
    details = dict(error.data or {})
    try:
        code = ErrorCode(str(details.pop("code", ErrorCode.INTERNAL)))
    except ValueError:
        code = ErrorCode.INTERNAL
    return PeerError(code, error.message, details=details)
