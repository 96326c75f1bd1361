"""An agent's queue, for the operator: what is queued or held, and taking it away.

The calls are declared in ``operator``; these are their types.
"""

from typing import Annotated

from msgspec import Meta

from pyglue.api.common import AgentName, Id, Params, Result
from pyglue.api.messages import Clip, ShownMessage


class QueueParams(Params, frozen=True):
    """The messages that an agent has not finished, next first."""

    agent: AgentName
    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    clip: Clip | None = None


class QueuedMessage(ShownMessage, frozen=True):
    """A queued or held message.

    ``turn`` holds it, if ``held`` is true and it is set; else a connection that has
    not begun a turn yet. ``failures`` counts against the message, ``reasons`` are the
    newest reasons of its failed turns. ``last`` says that it was moved to the end.
    """

    held: bool = False
    turn: int | None = None
    deliveries: int = 0
    failures: int = 0
    reasons: tuple[str, ...] = ()
    last: bool = False


class QueueResult(Result, frozen=True):
    """The messages, and how many there are beyond ``limit``."""

    messages: tuple[QueuedMessage, ...]
    more: int = 0


class QueueChangeParams(Params, frozen=True):
    """A queued or held message of an agent.

    With ``cancel_turn`` the turn that holds it is cancelled; without, a message that a
    turn holds is left alone.
    """

    agent: AgentName
    message: Id
    cancel_turn: bool = False
