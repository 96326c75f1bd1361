"""File names as text: Linux allows every byte but two in them, JSON does not.

Each component of a path is percent-encoded, except for ASCII letters, digits and
``_.-~``.
"""

import os
from collections.abc import Sequence
from urllib.parse import quote_from_bytes, unquote_to_bytes

from pyglue.errors import ErrorCode, HiveError


def encoded(name: str) -> str:
    """Return a name, as ``os`` gives it, encoded."""
    return quote_from_bytes(os.fsencode(name), safe="")


def decoded(path: str) -> tuple[str, ...]:
    """Return the components of an encoded path, as ``os`` takes them.

    Raises:
        HiveError: ``bad_request`` if one is not a valid file name.
    """
    parts = tuple(os.fsdecode(unquote_to_bytes(part)) for part in _parts(path))
    for part in parts:
        if part in ("", ".", "..") or "/" in part or "\0" in part:
            raise HiveError(
                ErrorCode.BAD_REQUEST,
                "Invalid path: write each part percent-encoded, divided by single "
                "slashes, without . and .. as parts.",
            )
    return parts


def shown(part: str) -> str:
    """Return an encoded name for people to read; it cannot be decoded."""
    return unquote_to_bytes(part).decode("utf-8", "replace")


def _parts(path: str) -> Sequence[str]:
    return path.split("/") if path else ()
