"""Parses an agent's JSON so that it has one meaning and cannot exhaust the relay.

Duplicate keys are refused because two parsers may take different ones; NaN and
infinity because they are not JSON; deep nesting and millions of tiny values because
each takes many times its size in memory.
"""

import json
import math
import re
from collections.abc import Iterable
from typing import Any, Final

from pyglue.relay.content import bad

_DEPTH_MAX: Final = 100
_VALUES_MAX: Final = 1_000_000
_STRING: Final = re.compile(rb'"(?:[^"\\]+|\\.)*+"', re.DOTALL)


def parse(raw: bytes) -> dict[str, Any]:
    """Return the object that ``raw`` holds.

    Raises:
        HiveError: ``bad_request`` with what is wrong.
    """
    if _values(raw) > _VALUES_MAX:
        raise bad(f"the body has more than {_VALUES_MAX} values")
    try:
        body = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except (ValueError, RecursionError) as error:
        why = f" ({error})" if isinstance(error, _NotPlainError) else ""
        raise bad(f"the body is not plain JSON{why}") from error
    if not isinstance(body, dict):
        raise bad("the body is not an object")
    _check_depth(body)
    return body


def serialise(body: dict[str, Any]) -> bytes:
    """Return ``body`` as JSON; text stays UTF-8 where it is proper Unicode."""
    try:
        return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can only escape
        return json.dumps(body, separators=(",", ":")).encode()


class _NotPlainError(ValueError):
    """Says what is wrong, in words of ours."""


def _values(raw: bytes) -> int:
    """Return an upper bound of the number of values."""
    marks = (b"{", b"[", b",")
    bound = sum(raw.count(mark) for mark in marks)
    if bound <= _VALUES_MAX:
        return bound
    outside = _STRING.sub(b"", raw)
    return sum(outside.count(mark) for mark in marks)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _NotPlainError("a key stands twice in one object")
    return found


def _no_constant(name: str) -> float:
    raise _NotPlainError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _NotPlainError("a number is too large")
    return value


def _check_depth(body: object) -> None:
    level: list[object] = [body]
    for _ in range(_DEPTH_MAX):
        level = [item for value in level for item in _inside(value)]
        if not level:
            return
    raise bad(f"the body is nested more than {_DEPTH_MAX} deep")


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
