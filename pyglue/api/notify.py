"""What hived asks hive-notify to send, a line of JSON each, and the line it answers.

A title and a link for the places of the operator's file, or one browser's sealed
notification, of which hive-notify can read nothing.

On ``notify.sock``, where hive-notify listens and hived alone connects.
"""

from enum import StrEnum
from typing import Annotated, TypeAlias

from msgspec import Meta

from pyglue.api.common import Params, Result
from pyglue.net.push_endpoints import LENGTH_MAX


class NotifyEvent(StrEnum):
    """What can be sent to the operator."""

    APPROVALS = "approvals"
    QUESTIONS = "questions"
    MESSAGES = "messages"
    TROUBLE = "trouble"
    BUDGETS = "budgets"


class SendNotification(Params, frozen=True, tag="notification"):
    """A title and a link. ``only`` are the places to send it to, by number: those that
    failed before; None: all.
    """

    title: Annotated[str, Meta(max_length=500)]
    link: Annotated[str, Meta(max_length=500)] | None
    only: tuple[int, ...] | None = None


class SentNotification(Result, frozen=True):
    """Which places failed, and what to tell the operator; nothing if none did."""

    failed: tuple[int, ...] = ()
    problem: Annotated[str, Meta(max_length=1000)] | None = None


class SendPush(Params, frozen=True, tag="push"):
    """A request to a push service (RFC 8030): its address, and what hived made."""

    endpoint: Annotated[str, Meta(max_length=LENGTH_MAX)]
    authorization: Annotated[str, Meta(max_length=1500)]
    body: Annotated[bytes, Meta(max_length=4096)]


class PushOutcome(StrEnum):
    """What a push service said; only what ``failed`` is worth trying again."""

    SENT = "sent"
    GONE = "gone"
    """The browser is subscribed no more."""
    REFUSED = "refused"
    FAILED = "failed"


class SentPush(Result, frozen=True):
    """What became of it; ``problem`` names the host and never the path.

    ``again_s`` is the least time after which the service wants to be asked again.
    """

    outcome: PushOutcome
    problem: Annotated[str, Meta(max_length=500)] | None = None
    again_s: float = 0.0


Asked: TypeAlias = SendNotification | SendPush
