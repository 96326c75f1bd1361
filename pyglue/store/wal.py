"""Detects commits in a write-ahead log that SQLite silently left out.

SQLite reads a log up to the first frame with a wrong checksum and takes that for the
end, which is correct after a power failure. Only the frames themselves show whether
commits of the same generation of the log (its salts) follow. After a power failure,
one may follow: the last commit, whose sync was incomplete. More than one means that
the log is damaged.
"""

import os
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_HEADER: Final = struct.Struct(">IIIIIIII")
_FRAME: Final = struct.Struct(">IIII")
_FRAME_SIZE: Final = 24
_MAGIC: Final = (0x377F0682, 0x377F0683)
_WORD: Final = 0xFFFFFFFF
_SIZE_AT: Final = 16
_ID_AT: Final = 68
_READ_UP_TO_AT: Final = 16
"""Offset in the index of a log (``-shm``) of the number of frames SQLite accepted."""


@dataclass(frozen=True)
class Log:
    """A log: its page size (None without a readable header) and commits by frame."""

    page_size: int | None
    commits: tuple[int, ...]
    empty: bool


def beside(database: Path, suffix: str) -> Path:
    """Return a file that SQLite keeps beside a database: ``-wal``, ``-shm``."""
    return database.with_name(database.name + suffix)


def read(log: Path) -> Log:
    """Read the header, and which frames of this generation end a commit."""
    try:
        size = log.stat().st_size
    except FileNotFoundError:
        return Log(None, (), empty=True)
    with log.open("rb") as file:
        head = file.read(_HEADER.size)
        if not any(head):  # never written, or only reserved
            return Log(None, (), empty=not any(file.read(_FRAME_SIZE)))
        if len(head) < _HEADER.size:
            return Log(None, (), empty=False)
        magic, _version, page_size, _checkpoint, *salts, one, two = _HEADER.unpack(head)
        if magic not in _MAGIC or (one, two) != _checksum(head[:24], magic & 1):
            return Log(None, (), empty=False)
        commits = []
        step = _FRAME_SIZE + page_size
        for number in range((size - _HEADER.size) // step):
            frame = os.pread(file.fileno(), _FRAME.size, _HEADER.size + number * step)
            _page, pages, *found = _FRAME.unpack(frame)
            if found == salts and pages:
                commits.append(number + 1)
    return Log(page_size, tuple(commits), empty=False)


def _checksum(data: bytes, is_big: int) -> tuple[int, int]:
    """Return SQLite's checksum of the rest of a header."""
    words = struct.unpack(f"{'>' if is_big else '<'}{len(data) // 4}I", data)
    one = two = 0
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + two) & _WORD
        two = (two + second + one) & _WORD
    return one, two


def frames_read(index: Path) -> int:
    """Return how many frames SQLite accepted, from the index of an open database."""
    with index.open("rb") as file:
        head = file.read(_READ_UP_TO_AT + 4)
    return int.from_bytes(head[_READ_UP_TO_AT:], sys.byteorder)


def page_size(database: Path) -> int:
    """Return the page size recorded in the file itself."""
    size = _at(database, _SIZE_AT, 2)
    return 65536 if size == 1 else size


def identity(database: Path) -> int:
    """Return the application ID in the file itself, whatever the log says."""
    return _at(database, _ID_AT, 4)


def _at(database: Path, offset: int, length: int) -> int:
    with database.open("rb") as file:
        return int.from_bytes(os.pread(file.fileno(), length, offset), "big")
