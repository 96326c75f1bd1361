"""The model's output while it is written, for viewers: not stored, and not an event.

A harness always sends the whole text of the current block, so that a skipped one is no
loss; hived passes the newest to each viewer. The complete text arrives afterwards as an
event of the turn, which is authoritative.
"""

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from msgspec import Meta

from pyglue.api import trust
from pyglue.api.common import AgentName, Id, Params

LIVE_TEXT_MAX: Final = 16 * 1024
"""Most characters of a block that are streamed; the rest comes with the event."""


class Writing(StrEnum):
    """The kind of block that the model is writing."""

    TEXT = "text"
    THINKING = "thinking"


class WatchedParams(Params, frozen=True):
    """To the harness: whether anyone watches its model's output."""

    watched: bool


class LiveTextParams(Params, frozen=True):
    """The text of one block that the model of a running turn has written so far.

    Without text it is a keep-alive (to the operator only).
    """

    turn: Id | None = None
    kind: Writing = Writing.TEXT
    text: Annotated[str, Meta(max_length=LIVE_TEXT_MAX)] = ""

    TRUST: ClassVar = {
        "turn": f"{trust.NO}; must be the running turn of the caller",
        "kind": trust.NO,
        "text": f"{trust.NO}; shown as text to viewers, and not stored",
    }


class LiveTextFollowParams(Params, frozen=True):
    """Follow the output of an agent's model."""

    agent: AgentName
