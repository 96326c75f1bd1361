"""How deep JSON is nested: the same bound on every version of Python.

``strict_json`` asks for all that it reads, ``raw_json`` for what is passed on unread.
"""

import re
from typing import Final

import msgspec

DEPTH_MAX: Final = 500
"""Levels of nesting. Since 3.12 Python's own limit is in the thousands for a decoder in
C, more than code in Python that walks the value has frames for."""
_COUNTED: Final = 2 * 1024 * 1024
"""Bytes in which levels are counted, which takes some times their memory. More comes
from nobody whose JSON may hold values without a type of ours: a body for the model has
types throughout."""
_TEXT: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_AS_LISTS: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


def is_deep(data: bytes | bytearray | memoryview | str | msgspec.Raw) -> bool:
    """Tell whether JSON of at most 2 MiB is nested deeper than ``DEPTH_MAX``."""
    size = len(data) if isinstance(data, str) else memoryview(data).nbytes
    if not 2 * DEPTH_MAX < size <= _COUNTED:  # each level takes two brackets
        return False
    raw = data.encode() if isinstance(data, str) else bytes(data)
    if raw.count(b"[") + raw.count(b"{") <= DEPTH_MAX:
        return False
    brackets = _TEXT.sub(b"", raw).translate(_AS_LISTS, _NO_BRACKETS)
    for _ in range(DEPTH_MAX):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)
