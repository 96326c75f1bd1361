"""The headers of a tar: POSIX's, with the extended ones that ``writer`` makes.

The tar is read here instead of by a library, which would accept far more. Called by
``reader``, which decides where a member goes. Blocking.
"""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NoReturn

from pyglue.errors import ErrorCode, HiveError
from pyglue.text.display import visible

_BLOCK: Final = 512
_EXTENDED_MAX: Final = 64 * 1024
_EXTENDED: Final = frozenset({"path", "linkpath", "size", "uid", "gid", "mtime"})
_ID_MAX: Final = 2**32 - 2


@dataclass(kw_only=True)
class Header:
    """A header, and the values of an extended header before it."""

    name: str
    type: bytes
    size: int
    mode: int
    uid: int
    gid: int
    target: str


class Headers:
    """Reads one member after another. ``links``: whether symbolic links are allowed."""

    def __init__(self, plain: gzip.GzipFile, *, links: bool) -> None:
        self._plain = plain
        self._links = links

    def next(self) -> Header | None:
        """Return the next member, whose content follows it; None at the end."""
        extended: dict[str, str] | None = None
        while True:
            header = self._plain.read(_BLOCK)
            if not header.strip(b"\0"):
                return None
            member = _parse(header.ljust(_BLOCK, b"\0"))
            if member.type == b"x":
                if extended is not None or not 0 < member.size <= _EXTENDED_MAX:
                    bad("it has an unexpected extended header")
                extended = _extended(self.exactly(member.size))
                self.pad(member.size)
                continue
            _extend(member, extended or {})
            self._check_type(member)
            return member

    def _check_type(self, member: Header) -> None:
        shown = visible(member.name, limit=100)
        if member.type == b"2" and self._links:
            if not member.target or "\0" in member.target or len(member.target) > 4095:
                bad(f"the link {shown!a} has an invalid target")
        elif member.type in (b"1", b"2"):
            bad(f"{shown!a} is a link")
        elif member.type not in (b"0", b"5"):
            bad(f"{shown!a} is neither a file nor a directory")
        if member.type != b"0" and member.size:
            bad(f"{shown!a} is not a file but has content")

    def exactly(self, size: int) -> bytes:
        """Return exactly ``size`` bytes.

        Raises:
            EOFError: the stream has fewer.
        """
        data = self._plain.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def pad(self, size: int) -> None:
        """Skip the padding after ``size`` bytes."""
        if self.exactly(-size % _BLOCK).strip(b"\0"):
            bad("it has data between its files")


def _parse(header: bytes) -> Header:
    """Read one header block, as POSIX defines it."""
    plain = header[:148] + b" " * 8 + header[156:]
    try:
        good = _octal(header[148:156]) == sum(plain)
        if not good or header[257:263] != b"ustar\0":
            raise ValueError("no header")
        name, prefix = _text(header[0:100]), _text(header[345:500])
        return Header(
            name=f"{prefix}/{name}" if prefix else name,
            type=header[156:157].replace(b"\0", b"0"),
            size=_octal(header[124:136]),
            mode=_octal(header[100:108]),
            uid=_octal(header[108:116]),
            gid=_octal(header[116:124]),
            target=_text(header[157:257]),
        )
    except ValueError as error:
        bad("it is damaged, or not an archive of a hive", error)


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("ascii")


def _octal(raw: bytes) -> int:
    text = raw.strip(b" \0")
    if not text.isdigit():
        raise ValueError("invalid number")
    return int(text, 8)


def _extended(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    try:
        while data:
            length, _, _ = data.partition(b" ")
            size = int(length) if length.isdigit() and len(length) < 6 else 0
            if not 0 < size <= len(data):
                raise ValueError("unexpected")
            record, data = data[len(length) + 1 : size], data[size:]
            key, equals, value = record.decode("ascii").partition("=")
            if not equals or not value.endswith("\n") or key not in _EXTENDED:
                raise ValueError("unexpected")
            if key in found:
                raise ValueError("twice")
            found[key] = value[:-1]
    except ValueError as error:
        bad("it has an unexpected extended header", error)
    return found


def _extend(member: Header, extended: Mapping[str, str]) -> None:
    member.name = extended.get("path", member.name)
    member.target = extended.get("linkpath", member.target)
    for key in ("size", "uid", "gid"):
        text = extended.get(key)
        if text is not None:
            if not text.isascii() or not text.isdigit() or len(text) > 18:
                bad("it has an unexpected extended header")
            setattr(member, key, int(text))
    if max(member.uid, member.gid) > _ID_MAX:
        bad("it has an impossible owner")
    if member.type == b"5":
        member.name = member.name.removesuffix("/")


def bad(why: str, cause: Exception | None = None) -> NoReturn:
    """Refuse the archive; ``why`` completes "Invalid archive: "."""
    raise HiveError(
        ErrorCode.BAD_REQUEST,
        f"Invalid archive: {why}. Nothing was changed.",
    ) from cause
