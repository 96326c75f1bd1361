"""Checks whether a harness's event data can be forwarded as JSON without decoding.

The line it came in has been scanned, so its syntax is valid. This module refuses what a
scan accepts but a later reader may not: bytes that are not UTF-8, line breaks between
values (in a stream of server-sent events a carriage return ends a line), nesting that a
scan does not bound on every Python, and values that are not objects.
"""

from typing import Final

import msgspec

from pyglue.strict_json.depth import is_deep

_CONTROLS: Final = bytes(range(0x20))


def problem_with(data: msgspec.Raw) -> str | None:
    """Return why ``data`` cannot be forwarded; None if it can."""
    raw = bytes(data)
    if not raw.startswith(b"{"):
        return "is not an object"
    if raw.translate(None, _CONTROLS) != raw:
        return "has line breaks or control characters between its values"
    try:
        raw.decode()
    except UnicodeDecodeError:
        return "is not UTF-8"
    if is_deep(raw):
        return "is nested too deeply"
    return None
