"""The requests of hived to hive-notify, one line of JSON each, and the answers.

A request has a title and a link for the services in the operator's file, or one
browser's encrypted notification, which hive-notify cannot read.

They use ``notify.sock``, on which hive-notify listens and to which only hived connects.
"""

from enum import StrEnum
from typing import Annotated, TypeAlias

from msgspec import Meta

from pyglue.api.common import Params, Result
from pyglue.net.push_endpoints import LENGTH_MAX


class NotifyEvent(StrEnum):
    """The kinds of notifications to the operator."""

    APPROVALS = "approvals"
    QUESTIONS = "questions"
    MESSAGES = "messages"
    TROUBLE = "trouble"
    BUDGETS = "budgets"


class SendNotification(Params, frozen=True, tag="notification"):
    """A title and a link. ``only`` are the numbers of the services to send it to, those
    that failed before; None: all.
    """

    title: Annotated[str, Meta(max_length=500)]
    link: Annotated[str, Meta(max_length=500)] | None
    only: tuple[int, ...] | None = None


class SentNotification(Result, frozen=True):
    """The services that failed, and the problem for the operator; empty if none did."""

    failed: tuple[int, ...] = ()
    problem: Annotated[str, Meta(max_length=1000)] | None = None


class SendPush(Params, frozen=True, tag="push"):
    """A request to a push service (RFC 8030): its address, and hived's content."""

    endpoint: Annotated[str, Meta(max_length=LENGTH_MAX)]
    authorization: Annotated[str, Meta(max_length=1500)]
    body: Annotated[bytes, Meta(max_length=4096)]


class PushOutcome(StrEnum):
    """The result from a push service; only ``failed`` is worth retrying."""

    SENT = "sent"
    GONE = "gone"
    """The browser is no longer subscribed."""
    REFUSED = "refused"
    FAILED = "failed"


class SentPush(Result, frozen=True):
    """The result; ``problem`` names the host and never the path.

    ``again_s`` is the minimum delay that the service asks for before a retry.
    """

    outcome: PushOutcome
    problem: Annotated[str, Meta(max_length=500)] | None = None
    again_s: float = 0.0


Asked: TypeAlias = SendNotification | SendPush
