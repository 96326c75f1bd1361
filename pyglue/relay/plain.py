"""Checks a body before and during parsing, with our own errors for invalid JSON.

Bodies are decoded with msgspec into the types of ``body`` and ``content``. Texts remain
slices of the original bytes, so a body never takes more than a few times its size in
memory. These types are encoded again and sent, so a duplicate key is sent once, with
the meaning that was judged.
"""

import codecs
import re
from typing import Final, TypeVar

import msgspec

from pyglue import strict_json
from pyglue.errors import ErrorCode, HiveError
from pyglue.limits import MIB, RelayLimits
from pyglue.strict_json import Fault, JsonError

_T = TypeVar("_T")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_VALUE: Final = re.compile(r"Invalid (?:enum )?value (.*)", re.DOTALL)
_PLACE: Final = re.compile(r" - at `([^`]*)`$")


def bad(what: str) -> HiveError:
    """Return the error for a request that is not in the API's format."""
    return HiveError(ErrorCode.BAD_REQUEST, f"Invalid request: {what}.")


def refused(what: str) -> HiveError:
    """Return the error for something that is not forwarded."""
    return HiveError(
        ErrorCode.FIELD_REFUSED,
        f"The hive does not forward {what} to the model. The operator can allow "
        "server tools in the agent's manifest; other additions are not supported.",
    )


def shown(value: object) -> str:
    """Return an agent's text, shortened, quoted and in ASCII."""
    return ascii(str(value)[:60])


def look(raw: bytes | bytearray, limits: RelayLimits) -> None:
    """Check that a body is UTF-8 and has few enough objects, using little memory.

    Raises:
        HiveError: ``bad_request``.
    """
    if raw.count(b"{") > limits.objects:
        raise bad(f"the body has more than {limits.objects} opening braces")
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(raw)
    try:
        for start in range(0, len(view), MIB):
            decoder.decode(view[start : start + MIB])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise bad("the body is not UTF-8") from None


def decoded(raw: bytes | bytearray | msgspec.Raw, kind: type[_T], where: str) -> _T:
    """Return ``raw`` as a ``kind``; ``where`` names it in the error if it is not one.

    Raises:
        HiveError: ``bad_request`` or, for a field or type that is not on a list,
            ``field_refused``. These errors do not keep the body in memory.
    """
    try:
        return strict_json.read(raw, kind)
    except JsonError as error:
        match error.fault:
            case Fault.SHAPE | Fault.LENGTH:
                raise _explained(error.reason, where) from None
            case Fault.DEPTH:
                raise bad(f"{where} is nested too deeply") from None
            case _:
                raise bad(f"{where} is not plain JSON") from None


def _explained(text: str, where: str) -> HiveError:
    found = _PLACE.search(text[-300:])
    place = f"{where}{found[1].removeprefix('$')[:60]}" if found else where
    what = _PLACE.sub("", text) if len(text) < 10_000 else text[:10_000]
    for pattern, noun in ((_UNKNOWN, "field"), (_VALUE, "value")):
        match = pattern.match(what)
        if match:
            name = match[1].strip("'`")
            return refused(f"the {noun} {shown(name)} in {_ascii(place)}")
    return bad(f"{_ascii(what[:120])}, in {_ascii(place)}")


def _ascii(text: str) -> str:
    return ascii(text)[1:-1]
