"""What the model is writing just now, while somebody watches: not stored, no event.

A harness sends the text of the block that is being written, whole each time, so that
one that is left out is no loss; hived passes the newest to whoever follows. The whole
text arrives as an event of the turn afterwards, which is what counts.
"""

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from msgspec import Meta

from pyglue.api import trust
from pyglue.api.common import AgentName, Id, Params

LIVE_TEXT_MAX: Final = 16 * 1024
"""Characters of a block that are shown as they come; the rest comes with the event."""


class Writing(StrEnum):
    """What the model is writing."""

    TEXT = "text"
    THINKING = "thinking"


class WatchedParams(Params, frozen=True):
    """To the harness: whether anybody watches what its model writes."""

    watched: bool


class LiveTextParams(Params, frozen=True):
    """What the model of a running turn has written of one block so far.

    Without text it is a sign of life (to the operator only).
    """

    turn: Id | None = None
    kind: Writing = Writing.TEXT
    text: Annotated[str, Meta(max_length=LIVE_TEXT_MAX)] = ""

    TRUST: ClassVar = {
        "turn": f"{trust.NO}; must be the running turn of the caller",
        "kind": trust.NO,
        "text": f"{trust.NO}; shown as text to whoever watches, and not kept",
    }


class LiveTextFollowParams(Params, frozen=True):
    """Follow what an agent's model writes."""

    agent: AgentName
