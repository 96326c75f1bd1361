"""What hived asks hive-notify to send, a line of JSON each, and the line it answers.

On ``notify.sock``, where hive-notify listens and hived alone connects.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from pyglue.api.common import Params, Result


class NotifyEvent(StrEnum):
    """What can be sent to the operator."""

    APPROVALS = "approvals"
    QUESTIONS = "questions"
    MESSAGES = "messages"
    TROUBLE = "trouble"
    BUDGETS = "budgets"


class SendNotification(Params, frozen=True):
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
