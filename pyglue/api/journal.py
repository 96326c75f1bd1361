"""Log lines of an agent's container, and of hived itself.

``cursor`` is a position in one log, in the backend's own format. Control and invisible
characters in ``text`` are escaped.
"""

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta

from pyglue.api.common import AgentName, Params, Result, ShortText

LINES_MAX: Final = 5000
"""Most lines in one result."""
HIVE_LOG: Final = "hive"
"""Used in place of an agent's name for hived's own log."""


class JournalUnit(StrEnum):
    """Which log: the harness in the container, the container, or hived.

    The local backend keeps one log per agent, so there the first two are the same.
    """

    HARNESS = "harness"
    MACHINE = "machine"
    DAEMON = "daemon"


class JournalParams(Params, frozen=True):
    """Read the newest lines, or with ``cursor`` the first ones after it.

    ``unit`` defaults to ``harness`` for an agent, and to ``daemon`` for ``hive``.
    """

    agent: AgentName
    unit: JournalUnit | None = None
    lines: Annotated[int, Meta(ge=1, le=LINES_MAX)] = 200
    cursor: Annotated[str, Meta(max_length=512)] | None = None


class JournalLine(Result, frozen=True):
    """One line; ``at`` is null if the log has no timestamps."""

    at: float | None
    text: str


class JournalPage(Result, frozen=True):
    """Lines, oldest first.

    ``cursor`` is the position of the next ones, null in an empty journal. ``gap``:
    lines before these are missing, dropped because of their size or already deleted.
    """

    lines: tuple[JournalLine, ...]
    cursor: str | None
    gap: bool = False


class JournalNews(Params, frozen=True):
    """New lines of a followed log; without lines it is a keep-alive.

    ``ended`` is the reason why no more lines will follow.
    """

    lines: tuple[JournalLine, ...] = ()
    cursor: str | None = None
    gap: bool = False
    ended: ShortText | None = None
