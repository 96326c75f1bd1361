"""What may be passed on as JSON without being decoded: data of a harness's events.

The line that carried it was scanned, so its syntax is right. What a scan lets through
and a later reader would stumble over is refused here: bytes that are no UTF-8, line
breaks between values (in a stream of server-sent events a carriage return ends a
line), nesting that only the scan's own recursion limit bounds, and what is no object.
"""

from typing import Final

import msgspec

from pyglue import strict_json
from pyglue.strict_json import JsonError

_MARGIN: Final = 300
"""Levels of nesting that a later reader's stack may have less room for than ours."""
_FEW: Final = 64
"""So many brackets nest no deeper than anything legitimate."""
_CONTROLS: Final = bytes(range(0x20))
_scan: Final = strict_json.reader(msgspec.Raw)


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
    if raw.count(b"[") + raw.count(b"{") > _FEW and _is_deep(raw):
        return "is nested too deep"
    return None


def _is_deep(raw: bytes) -> bool:
    try:
        _scan(b"[" * _MARGIN + raw + b"]" * _MARGIN)
    except JsonError:
        return True
    return False
