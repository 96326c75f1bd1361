"""What a log is to whoever reads it, on every backend.

``journal.py`` of the host calls this; ``logfiles`` and ``journald`` beside it are the
two kinds. Agents write what is read here: every line is cut, what is answered is made
visible, and neither what waits nor an answer grows beyond ``SIZE_MAX``.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final, NamedTuple

from pyglue.api.journal import JournalLine, JournalPage
from pyglue.display import visible

LINE_MAX: Final = 4096
"""Characters shown of one line."""
SIZE_MAX: Final = 2 * 1024 * 1024
"""Bytes of one page's text."""


class _Raw(NamedTuple):
    text: str
    at: float | None
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
    """Lines on their way into a page: at most ``count``, at most ``SIZE_MAX``.

    Taking a line is cheap, so that it can be done in the event loop; ``page`` is not.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._kept: deque[_Raw] = deque()
        self._size = 0
        self._gap = False

    def add(self, text: str, at: float | None, cursor: str | None) -> None:
        """Take one line; the oldest go when there are too many.

        ``cursor`` is None where reading cannot go on right behind the line.
        """
        self._kept.append(_Raw(text[: LINE_MAX + 1], at, cursor))
        self._size += _room(self._kept[-1].text)
        while len(self._kept) > self._count:
            self._size -= _room(self._kept.popleft().text)
        while self._size > SIZE_MAX:
            self._size -= _room(self._kept.popleft().text)
            self._gap = True

    @property
    def full(self) -> bool:
        """Whether one more line could push another out."""
        return len(self._kept) >= self._count or self._size > SIZE_MAX - 2 * LINE_MAX

    def page(self, cursor: str | None, *, gap: bool = False) -> JournalPage:
        """Return the newest lines; ``cursor`` is where it goes on without lines."""
        shown, size = deque[JournalLine](), 0
        for raw in reversed(self._kept):
            line = _visible(raw)
            size += _room(line.text)
            if size > SIZE_MAX:
                gap = True
                break
            shown.appendleft(line)
        cursors = (raw.cursor for raw in reversed(self._kept) if raw.cursor is not None)
        return JournalPage(
            lines=tuple(shown), cursor=next(cursors, cursor), gap=gap or self._gap
        )

    def first_page(self, cursor: str | None, *, gap: bool = False) -> JournalPage:
        """Return the oldest lines; the others come again after the page's cursor."""
        shown: list[JournalLine] = []
        size = 0
        for raw in self._kept:
            line = _visible(raw)
            size += _room(line.text)
            if size > SIZE_MAX:
                break
            shown.append(line)
            cursor = raw.cursor or cursor
        return JournalPage(lines=tuple(shown), cursor=cursor, gap=gap or self._gap)


def _visible(raw: _Raw) -> JournalLine:
    return JournalLine(at=raw.at, text=visible(raw.text, limit=LINE_MAX))


def _room(text: str) -> int:
    """Return about how many bytes a line takes in an answer."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
    return size + 40
