"""What may be passed on as JSON without being decoded: data of a harness's events.

The line that carried it was scanned, so its syntax is right. What a scan lets through
and a later reader would stumble over is refused here: bytes that are no UTF-8, line
breaks between values (in a stream of server-sent events a carriage return ends a
line), nesting that a scan does not bound on every Python, and what is no object.
"""

from typing import Final

import msgspec

from pyglue.json_depth import is_deep

_CONTROLS: Final = bytes(range(0x20))


def problem_with(data: msgspec.Raw) -> str | None:
    """Say why ``data`` cannot be passed on; None if it can."""
    raw = bytes(data)
    if not raw.startswith(b"{"):
        return "is no object"
    if raw.translate(None, _CONTROLS) != raw:
        return "has line breaks or control characters between its values"
    try:
        raw.decode()
    except UnicodeDecodeError:
        return "is no UTF-8"
    if is_deep(raw):
        return "is nested too deep"
    return None
