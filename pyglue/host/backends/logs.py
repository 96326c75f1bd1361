"""The interface of logs, the same on every backend.

Called by ``watch/journal.py``; implemented by ``logfiles`` and ``journald``. Agents
write these logs: every line is cut, text is made visible, and neither pending lines nor
a page exceed ``SIZE_MAX``.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final, NamedTuple

from pyglue.api.journal import JournalLine, JournalPage
from pyglue.text.display import visible

LINE_MAX: Final = 4096
"""Maximum characters of one line."""
SIZE_MAX: Final = 2 * 1024 * 1024
"""Maximum bytes of a page's text."""


class _Raw(NamedTuple):
    text: str
    at: float | None
    cursor: str | None


class JournalSource(ABC):
    """One log, with its own cursors; an invalid one is refused or read as a gap."""

    @abstractmethod
    async def read(self, lines: int, cursor: str | None) -> JournalPage:
        """Return the newest lines, or the first ones after ``cursor``.

        Raises:
            HiveError: with the reason, if it cannot be read.
        """

    @abstractmethod
    def follow(self, cursor: str | None) -> AsyncGenerator[JournalPage, None]:
        """Yield new lines after ``cursor`` (None: all lines) as they are written.

        It ends only when it is closed, or with a HiveError.
        """


class Lines:
    """Lines collected for a page: at most ``count``, and at most ``SIZE_MAX`` bytes.

    ``add`` is cheap enough for the event loop; ``page`` is not.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._kept: deque[_Raw] = deque()
        self._size = 0
        self._gap = False

    def add(self, text: str, at: float | None, cursor: str | None) -> None:
        """Add a line; beyond the limits, the oldest are dropped.

        ``cursor`` is None if reading cannot resume directly after the line.
        """
        self._kept.append(_Raw(text[: LINE_MAX + 1], at, cursor))
        self._size += _size_of(self._kept[-1].text)
        while len(self._kept) > self._count:
            self._size -= _size_of(self._kept.popleft().text)
        while self._size > SIZE_MAX:
            self._size -= _size_of(self._kept.popleft().text)
            self._gap = True

    @property
    def full(self) -> bool:
        """Whether one more line could displace another."""
        return len(self._kept) >= self._count or self._size > SIZE_MAX - 2 * LINE_MAX

    def page(self, cursor: str | None, *, gap: bool = False) -> JournalPage:
        """Return the newest lines; ``cursor`` is the page's if there are none."""
        shown, size = deque[JournalLine](), 0
        for raw in reversed(self._kept):
            line = _visible(raw)
            size += _size_of(line.text)
            if size > SIZE_MAX:
                gap = True
                break
            shown.appendleft(line)
        cursors = (raw.cursor for raw in reversed(self._kept) if raw.cursor is not None)
        return JournalPage(
            lines=tuple(shown), cursor=next(cursors, cursor), gap=gap or self._gap
        )

    def first_page(self, cursor: str | None, *, gap: bool = False) -> JournalPage:
        """Return the oldest lines; the rest follows after the page's cursor."""
        shown: list[JournalLine] = []
        size = 0
        for raw in self._kept:
            line = _visible(raw)
            size += _size_of(line.text)
            if size > SIZE_MAX:
                break
            shown.append(line)
            cursor = raw.cursor or cursor
        return JournalPage(lines=tuple(shown), cursor=cursor, gap=gap or self._gap)


def _visible(raw: _Raw) -> JournalLine:
    return JournalLine(at=raw.at, text=visible(raw.text, limit=LINE_MAX))


def _size_of(text: str) -> int:
    """Return approximately how many bytes a line takes in a response."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
    return size + 40
