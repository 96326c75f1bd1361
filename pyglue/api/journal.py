"""Log lines: of an agent's container, and of hived itself.

``cursor`` is a place in one log that the backend made up; what comes after it can be
asked for. ``text`` holds no control or invisible characters: they are escaped.
"""

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta

from pyglue.api.common import AgentName, Params, Result, ShortText

LINES_MAX: Final = 5000
"""Most lines of one answer."""
HIVE_LOG: Final = "hive"
"""What stands in place of an agent's name for hived's own log."""


class JournalUnit(StrEnum):
    """Which log: the harness in the container, the container, or hived.

    The local backend keeps one log of an agent, so there the first two are the same.
    """

    HARNESS = "harness"
    MACHINE = "machine"
    DAEMON = "daemon"


class JournalParams(Params, frozen=True):
    """Which lines: the newest, or with ``cursor`` the first that come after it.

    ``unit`` null is ``harness`` of an agent, and ``daemon`` of ``hive``.
    """

    agent: AgentName
    unit: JournalUnit | None = None
    lines: Annotated[int, Meta(ge=1, le=LINES_MAX)] = 200
    cursor: Annotated[str, Meta(max_length=512)] | None = None


class JournalLine(Result, frozen=True):
    """One line; ``at`` is null where the log has no times."""

    at: float | None
    text: str


class JournalPage(Result, frozen=True):
    """Lines, oldest first.

    ``cursor`` is where the next ones begin, null in an empty journal. ``gap`` says
    that lines are missing before these: dropped for their size, or not kept any more.
    """

    lines: tuple[JournalLine, ...]
    cursor: str | None
    gap: bool = False


class JournalNews(Params, frozen=True):
    """What a followed log got since; without lines it only says that it is alive.

    ``ended`` says why nothing more will come.
    """

    lines: tuple[JournalLine, ...] = ()
    cursor: str | None = None
    gap: bool = False
    ended: ShortText | None = None
