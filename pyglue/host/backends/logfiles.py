"""A log file written by ``process.LogFile``; for the local backend.

There are two files, ``NAME`` and the older ``NAME.1``; a line may begin in one and end
in the other. A cursor contains inode and offset, so it survives the rotation, and a
checksum of the bytes before it, because inodes are reused. A line counts once it is
complete; ``read`` also shows an incomplete last line, after the cursor.
"""

import asyncio
import contextlib
import os
import re
import zlib
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple

from pyglue.api.journal import LINES_MAX, JournalPage
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.backends.logs import JournalSource, Lines
from pyglue.process.logfile import unstamped
from pyglue.process.watch import Watch

_CURSOR: Final = re.compile(r"([0-9]{1,20}):([0-9]{1,18}):([0-9]{1,2}):([0-9]{1,10})")
_RAW_MAX: Final = 64 * 1024
"""Maximum bytes of a line: more without a newline are split."""
_CHECKED: Final = 64


class _Place(NamedTuple):
    inode: int
    offset: int
    checked: int
    checksum: int

    def __str__(self) -> str:
        return ":".join(map(str, self))

    def within(self, file: IO[bytes]) -> bool:
        if _inode(file) != self.inode or self.offset < self.checked:
            return False
        tail = os.pread(file.fileno(), self.checked, self.offset - self.checked)
        return len(tail) == self.checked and zlib.crc32(tail) == self.checksum


class _Found(NamedTuple):
    """A line, and the bytes before ``offset``, empty if the line is incomplete."""

    line: bytes
    raw: bytes
    inode: int
    offset: int

    @property
    def place(self) -> _Place:
        tail = self.raw[-_CHECKED:]
        return _Place(self.inode, self.offset, len(tail), zlib.crc32(tail))


class FileSource(JournalSource):
    """The log at ``path``, which need not exist yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._older = path.with_name(path.name + ".1")

    async def read(self, lines: int, cursor: str | None) -> JournalPage:
        """Return lines; see ``JournalSource``."""
        if cursor is None:
            return await asyncio.to_thread(self._newest, lines)
        return await asyncio.to_thread(self._after, lines, _place(cursor))

    async def follow(self, cursor: str | None) -> AsyncGenerator[JournalPage, None]:
        """Yield the lines after ``cursor``."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        place = None if cursor is None else _place(cursor)
        with Watch(self._path.parent, frozenset({self._path.name})) as watch:
            while True:
                page = await asyncio.to_thread(self._after, LINES_MAX, place)
                place = None if page.cursor is None else _place(page.cursor)
                if page.lines or page.gap:
                    yield page
                else:
                    await watch.changed()

    # --- blocking ---------------------------------------------------------------

    def _newest(self, count: int) -> JournalPage:
        lines, last = Lines(count), None
        with self._open() as files:
            newest: deque[bytes] = deque(maxlen=count)
            for found in _read(files, 0, begun=True):
                newest.append(found.line)
                last = found if found.raw else last
        for line in newest:
            text, at = unstamped(line)
            lines.add(_text(text), at, None)
        return lines.page(None if last is None else str(last.place))

    def _after(self, count: int, place: _Place | None) -> JournalPage:
        lines = Lines(count)
        with self._open() as files:
            files, offset, gap = _from(files, place)
            for found in _read(files, offset, begun=False):
                text, at = unstamped(found.line)
                lines.add(_text(text), at, str(found.place))
                if lines.full:
                    break
        return lines.first_page(None if place is None or gap else str(place), gap=gap)

    @contextlib.contextmanager
    def _open(self) -> Iterator[list[IO[bytes]]]:
        """Yield both files, the older first, if they exist."""
        with contextlib.ExitStack() as stack:
            newer = _file(self._path, stack)
            older = _file(self._older, stack)
            if (
                older is not None
                and newer is not None
                and _inode(older) == _inode(newer)
            ):
                newer = _file(self._path, stack)  # rotated in between
            yield [file for file in (older, newer) if file is not None]


def _place(cursor: str) -> _Place:
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise HiveError(
            ErrorCode.BAD_REQUEST, "Invalid cursor for this log; begin without one."
        )
    return _Place(*map(int, found.groups()))


def _from(
    files: list[IO[bytes]], place: _Place | None
) -> tuple[list[IO[bytes]], int, bool]:
    """Return the files from ``place`` on, the offset, and whether lines are gone."""
    if place is None:
        return files, 0, False
    for at, file in enumerate(files):
        if place.within(file):
            return files[at:], place.offset, False
    return files, 0, True


def _read(files: list[IO[bytes]], offset: int, *, begun: bool) -> Iterator[_Found]:
    """Yield lines; with ``begun`` also an incomplete one."""
    rest = b""
    for file in files:
        file.seek(offset)
        position, offset = offset, 0
        inode = _inode(file)
        while raw := file.readline(_RAW_MAX):
            position += len(raw)
            if raw.endswith(b"\n") or len(raw) == _RAW_MAX:
                line = rest + raw.removesuffix(b"\n")
                yield _Found(line, raw, inode, position)
                rest = b""
            else:
                rest += raw
    if rest and begun:
        yield _Found(rest, b"", 0, 0)


def _file(path: Path, stack: contextlib.ExitStack) -> IO[bytes] | None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        return stack.enter_context(os.fdopen(os.open(path, flags), "rb"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HiveError(
            ErrorCode.UNAVAILABLE,
            f"Cannot read the log {path}: {error.strerror}.",
        ) from error


def _inode(file: IO[bytes]) -> int:
    return os.fstat(file.fileno()).st_ino


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
