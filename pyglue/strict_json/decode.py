"""Decodes JSON into types or plain values, and explains what is wrong with it."""

import codecs
import json
import math
import re
from collections.abc import Callable
from enum import StrEnum
from types import UnionType
from typing import Any, Final, TypeVar, overload

import msgspec

from pyglue.errors import ErrorCode, HiveError
from pyglue.strict_json import decoder_errors
from pyglue.strict_json.depth import is_deep
from pyglue.text.display import visible

T = TypeVar("T")
Data = bytes | bytearray | memoryview | str | msgspec.Raw

_PAIR: Final = re.compile(r"\\\\|\\u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w")
_LONE: Final = re.compile(r"(\\u[dD][89a-fA-F][0-9a-fA-F]{2})")
_HALVES: Final = re.compile(
    rb"(\\\\|\\u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w)|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_SEARCHED: Final = 1024 * 1024
_LONG: Final = re.compile(
    r"Expected `str` of length <= (?P<most>\d+) - at `\$\.(?P<field>.+)`"
)
_MARKS: Final = {
    codecs.BOM_UTF8: "it begins with a byte order mark. Send UTF-8 without one",
    codecs.BOM_UTF32_LE: "it is UTF-32. Send UTF-8",
    codecs.BOM_UTF16_LE: "it is UTF-16. Send UTF-8",
    codecs.BOM_UTF16_BE: "it is UTF-16. Send UTF-8",
}
_TOO_DEEP: Final = "it is nested too deeply"
_ERRORS: Final = (msgspec.MsgspecError, ValueError, RecursionError)


class Fault(StrEnum):
    """What kind of invalid it is."""

    SYNTAX = "syntax"
    SHAPE = "shape"
    """JSON, but not of the type."""
    DEPTH = "depth"
    SIZE = "size"
    LENGTH = "length"
    """A text in it is over its limit."""


class JsonError(HiveError):
    """Bytes that are not the JSON that belongs there; ``reason`` is the decoder's word.

    It refers to no exception of the decoder: these keep the input in memory.
    """

    def __init__(
        self, code: ErrorCode, message: str, /, *, fault: Fault, reason: str
    ) -> None:
        super().__init__(code, message)
        self.fault = fault
        self.reason = reason


@overload
def read(
    data: Data,
    kind: type[T],
    *,
    what: str = ...,
    code: ErrorCode = ...,
    max_bytes: int | None = ...,
    unique: bool = ...,
) -> T: ...
@overload
def read(
    data: Data,
    kind: UnionType,
    *,
    what: str = ...,
    code: ErrorCode = ...,
    max_bytes: int | None = ...,
    unique: bool = ...,
) -> Any: ...  # noqa: ANN401 (one of the union)
def read(
    data: Data,
    kind: Any,
    *,
    what: str = "JSON",
    code: ErrorCode = ErrorCode.BAD_REQUEST,
    max_bytes: int | None = None,
    unique: bool = False,
) -> Any:
    """Return the value in ``data``; ``what`` is for the sentence.

    Raises:
        JsonError: ``code``, or ``too_large`` above ``max_bytes``.
    """
    size = 0 if max_bytes is None else _size(data)
    if max_bytes is not None and size > max_bytes:
        reason = f"it has {size} bytes; at most {max_bytes} are allowed"
        raise _error(ErrorCode.TOO_LARGE, what, Fault.SIZE, reason)
    try:
        if unique:
            value = msgspec.convert(_plain(data), kind)
        else:
            value = msgspec.json.decode(data, type=kind)
        if not is_deep(data):
            return value
        fault, reason = Fault.DEPTH, _TOO_DEEP
    except _ERRORS as error:
        fault, reason = _explain(error, data)
    raise _error(code, what, fault, reason)


def reader(
    kind: type[T], *, what: str = "JSON", code: ErrorCode = ErrorCode.BAD_REQUEST
) -> Callable[[Data], T]:
    """Return ``read`` of one kind, prepared for being called often."""
    decode = msgspec.json.Decoder(kind).decode

    def read_one(data: Data) -> T:
        try:
            value = decode(data)
            if not is_deep(data):
                return value
            fault, reason = Fault.DEPTH, _TOO_DEEP
        except _ERRORS as error:
            fault, reason = _explain(error, data)
        raise _error(code, what, fault, reason)

    return read_one


def convert(
    value: object,
    kind: type[T],
    *,
    what: str = "JSON",
    code: ErrorCode = ErrorCode.BAD_REQUEST,
    strict: bool = True,
) -> T:
    """Return a decoded value as a ``kind``; not ``strict``: text may be a number.

    Raises:
        JsonError: ``code``.
    """
    try:
        return msgspec.convert(value, kind, strict=strict)
    except _ERRORS as error:
        fault, reason = _explain(error)
    raise _error(code, what, fault, reason)


def with_whole_characters(data: bytes) -> bytes:
    """Return JSON in which each escape of half a character is that of U+FFFD.

    For the words of a model, which are worth showing though they have a hole.
    """
    return _HALVES.sub(lambda found: found[1] or rb"\ufffd", data)


def indented(text: str) -> str:
    """Return JSON for people; numbers and the order of keys stay as they are.

    Raises:
        JsonError: ``bad_request``.
    """
    try:
        return msgspec.json.format(text, indent=2)
    except _ERRORS as error:
        fault, reason = _explain(error)
    raise _error(ErrorCode.BAD_REQUEST, "JSON", fault, reason)


def _size(data: Data) -> int:
    return len(data.encode()) if isinstance(data, str) else memoryview(data).nbytes


def _explain(error: Exception, data: Data = b"") -> tuple[Fault, str]:
    half = None if isinstance(error, msgspec.ValidationError) else _half(data)
    if half is not None:
        return Fault.SYNTAX, f"a text in it has half of a surrogate pair ({half})"
    match error:
        case msgspec.ValidationError():
            found = _LONG.fullmatch(str(error))
            if found is not None:
                return Fault.LENGTH, too_long(found["field"], int(found["most"]))
            return Fault.SHAPE, str(error)
        case RecursionError():
            return Fault.DEPTH, _TOO_DEEP
        case UnicodeError():
            return Fault.SYNTAX, _not_utf8(data) or "it is not UTF-8"
        case _NotStrictError():
            return Fault.SYNTAX, str(error)
        case _:
            return Fault.SYNTAX, _not_utf8(data) or f"it is not JSON ({error})"


def _not_utf8(data: Data) -> str | None:
    """Return what a byte order mark says of data that was refused."""
    begin = data[:4].encode() if isinstance(data, str) else bytes(memoryview(data)[:4])
    for mark, what in _MARKS.items():
        if begin.startswith(mark):
            return what
    return None


def too_long(field: str, most: int) -> str:
    """Return what is wrong with a text field over its limit, and what to do."""
    return (
        f"{field} is longer than {most} characters. Shorten it, or put the text in a "
        "file and send its path"
    )


def _half(data: Data) -> str | None:
    """Return the first escape of half a character, in JSON that was refused.

    Larger data is not searched: that would take several times its size in memory.
    """
    if (len(data) if isinstance(data, str) else _size(data)) > _SEARCHED:
        return None
    text = data if isinstance(data, str) else bytes(data).decode("utf-8", "replace")
    found = _LONE.search(_PAIR.sub("", text))
    return None if found is None else found[1]


def _error(code: ErrorCode, what: str, fault: Fault, reason: str) -> JsonError:
    advice = " Shorten it." if fault is Fault.SIZE else ""
    code = ErrorCode.TOO_LARGE if fault is Fault.LENGTH else code
    shape = decoder_errors.read(reason) if fault is Fault.SHAPE else None
    message = reason if shape is None else str(shape)
    sentence = f"Invalid {what}: {visible(message)}.{advice}"
    if fault is Fault.LENGTH:
        sentence = f"{visible(reason)}."
    return JsonError(code, sentence, fault=fault, reason=reason)


class _NotStrictError(ValueError):
    """What Python's own reader would let through."""


def _plain(data: Data) -> object:
    """Parse where keys are unique and numbers finite."""
    text = data if isinstance(data, str) else bytes(data).decode("utf-8")
    if "\\u" in text:
        msgspec.json.decode(text)  # which refuses half of a surrogate pair
    value: object = json.loads(
        text,
        object_pairs_hook=_unique,
        parse_constant=_no_constant,
        parse_float=_finite,
    )
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _NotStrictError(f"the key {twice[:60]!a} occurs twice")
    return found


def _no_constant(name: str) -> float:
    raise _NotStrictError(f"{name} is not a number in JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _NotStrictError(f"the number {text[:40]!a} is out of range")
    return number
