"""The stream of what happens in the hive.

``operator`` names the calls; these are their types.
"""

from typing import Annotated, Any

from msgspec import Meta

from pyglue.api.common import Params, Result, ShortText


class Event(Params, frozen=True):
    """Something happened. ``seq`` grows by one; ``kind`` is ``subject.what``.

    Kinds: ``agent.state``, ``agent.changed``, ``agent.server``, ``turn.started``,
    ``turn.ended``, ``turn.event``, ``message.sent``, ``message.taken``,
    ``approval.created``, ``approval.changed``, ``approval.build``,
    ``operation.changed``, ``question.asked``, ``question.answered``, ``hive.warning``.
    """

    seq: int
    at: float
    kind: str
    agent: str | None
    data: dict[str, Any]


class SubscribeParams(Params, frozen=True):
    """Start the event stream after ``since``; None means from now on."""

    since: Annotated[int, Meta(ge=0)] | None = None


class SubscribeResult(Result, frozen=True):
    """``seq`` is the newest event at this moment."""

    seq: int


class GapParams(Params, frozen=True):
    """Events up to ``seq`` were left out: read the pages' data again."""

    seq: int
    reason: ShortText
