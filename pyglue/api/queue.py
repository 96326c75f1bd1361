"""An agent's pending messages, for the operator: listing, dropping and moving them.

The calls are declared in ``operator``; these are their types.
"""

from typing import Annotated

from msgspec import Meta, field

from pyglue.api.common import AgentName, Id, Params, Result
from pyglue.api.messages import Clip, ShownMessage


class QueueParams(Params, frozen=True):
    """An agent's pending messages, next first."""

    agent: AgentName
    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    clip: Clip | None = None


class QueuedMessage(ShownMessage, frozen=True):
    """A pending message.

    ``leased`` (``held`` in JSON): to ``turn`` if that is set, else to a connection that
    has not started a turn yet. ``failures`` counts failed turns charged to the message,
    with the newest ``reasons``. ``last``: it was moved to the end.
    """

    leased: bool = field(default=False, name="held")
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
    """A pending message of an agent.

    With ``cancel_turn``, a turn that has the message is cancelled; without it, such a
    message cannot be changed.
    """

    agent: AgentName
    message: Id
    cancel_turn: bool = False
