"""What a log is to whoever reads it, on every backend.

``journal.py`` of the host calls this; ``logfiles`` and ``journald`` beside it are the
two kinds. Agents write what is read here: every line is cut and made visible as it
comes in, and no answer grows beyond ``SIZE_MAX``, whatever the log holds.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from typing import Final, NamedTuple

from pyglue.api.journal import JournalLine, JournalPage
from pyglue.display import visible

LINE_MAX: Final = 4096
"""Characters shown of one line."""
SIZE_MAX: Final = 2 * 1024 * 1024
"""Bytes of one page's text."""


class Placed(NamedTuple):
    """A line, and the cursor behind it."""

    line: JournalLine
    cursor: str | None


class JournalSource(ABC):
    """One log. Cursors are its own; a wrong one is refused or read as a gap."""

    @abstractmethod
    async def read(self, lines: int, cursor: str | None) -> JournalPage:
        """Return the newest lines, or the first ones that come after ``cursor``.

        Raises:
            HiveError: with the reason why it cannot be read.
        """

    @abstractmethod
    def follow(self, cursor: str | None) -> AsyncGenerator[JournalPage, None]:
        """Give what comes after ``cursor`` (None: everything) as it is written.

        Ends only by being closed, or with the HiveError that says why.
        """


class Lines:
    """Lines on their way into a page: at most ``count``, at most ``SIZE_MAX``."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._kept: deque[Placed] = deque()
        self._size = 0
        self._gap = False

    def add(self, text: str, at: float | None, cursor: str | None) -> None:
        """Take one line; the oldest go when there are too many."""
        self.put(placed(text, at, cursor))

    def put(self, one: Placed) -> None:
        """Take a line that is made already."""
        self._kept.append(one)
        self._size += _size(one)
        while len(self._kept) > self._count:
            self._size -= _size(self._kept.popleft())
        while self._size > SIZE_MAX:
            self._size -= _size(self._kept.popleft())
            self._gap = True

    @property
    def full(self) -> bool:
        """Whether one more line could push another out."""
        return len(self._kept) >= self._count or self._size > SIZE_MAX - 4 * LINE_MAX

    def page(self, cursor: str | None, *, gap: bool = False) -> JournalPage:
        """Return what was taken; ``cursor`` is where it goes on without lines."""
        cursors = [one.cursor for one in self._kept if one.cursor is not None]
        return JournalPage(
            lines=tuple(one.line for one in self._kept),
            cursor=cursors[-1] if cursors else cursor,
            gap=gap or self._gap,
        )


def placed(text: str, at: float | None, cursor: str | None) -> Placed:
    """Return a line as it is shown."""
    return Placed(JournalLine(at=at, text=visible(text, limit=LINE_MAX)), cursor)


def split(text: str) -> Iterator[str]:
    """Give the lines of one entry, at least one; the last newline ends a line."""
    yield from text.removesuffix("\n").split("\n")


def _size(one: Placed) -> int:
    return len(one.line.text.encode("utf-8", "replace")) + 40
