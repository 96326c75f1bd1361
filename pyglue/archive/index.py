"""An archive's index, which is its last member, and how names are written."""

from enum import StrEnum
from typing import Any, Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

import msgspec

FORMAT: Final = 1
INDEX: Final = "index.json"
_PLAIN: Final = " +=,@:()[]"
PART_MAX: Final = 255
DEPTH_MAX: Final = 64
PATH_MAX: Final = 3000
"""The longest name in an archive; the path that it is unpacked to needs space too."""
LEFT_OUT_MAX: Final = 1001
LEFT_OUT_LINE_MAX: Final = 1000


class Kind(StrEnum):
    """What an archive contains."""

    AGENT = "agent"
    HIVE = "hive"


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file in the archive."""

    name: str
    size: int
    sha256: str


class Index(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The index. ``version`` is that of the hyperhive that wrote it."""

    format: int
    kind: Kind
    version: str
    created_at: float
    about: dict[str, Any]
    members: tuple[Member, ...]
    left_out: tuple[str, ...] = ()


def quote(name: bytes) -> str:
    """Return one component of a path as an archive has it."""
    return quote_from_bytes(name, safe=_PLAIN)


def split(path: str) -> tuple[bytes, ...] | None:
    """Return the components of a member's name; None if the name is not allowed."""
    parts = path.split("/")
    found = tuple(unquote_to_bytes(part) for part in parts)
    good = (
        len(path) <= PATH_MAX
        and len(parts) <= DEPTH_MAX + 2
        and all(
            name not in (b"", b".", b"..")
            and b"/" not in name
            and b"\0" not in name
            and len(name) <= PART_MAX
            and quote(name) == part
            for name, part in zip(found, parts, strict=True)
        )
    )
    return found if good else None
