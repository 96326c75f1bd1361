"""Which events cause notifications outside the dashboard, and when quiet hours end."""

from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from typing import Final

from pyglue.api.approvals import ApprovalState
from pyglue.api.common import AgentState
from pyglue.api.event_values import NotificationKind
from pyglue.api.events import (
    AgentStateChanged,
    ApprovalChanged,
    ApprovalCreated,
    Event,
    MessageSent,
    NotificationPublished,
    QuestionAsked,
)
from pyglue.api.notify import NotifyEvent
from pyglue.api.push import Note
from pyglue.names import OPERATOR

_STUCK: Final = {
    AgentState.FAILED: "has failed",
    AgentState.NEEDS_LOGIN: "needs a login",
    AgentState.NO_CREDIT: "is refused by the model provider: no credit",
    AgentState.DISK_FULL: "has no free disk space",
}
_NOTIFICATIONS: Final = {
    NotificationKind.CRASHED: "has crashed",
    NotificationKind.SERVER_DOWN: "has an MCP server that is down",
    NotificationKind.STEP_LATE: "is waiting for a tool call without a result",
}


def worth_of(event: Event) -> Iterator[tuple[NotifyEvent, Note]]:
    """Yield the notifications that an event causes, with their kinds.

    Open pages of the dashboard use the same tags for their own (notify.js).
    """
    who = event.agent or "The hive"
    page = f"/agents/{event.agent}" if event.agent else "/"
    match event.read():
        case ApprovalCreated(approval=number):
            title = f"Approval {number} of {who} is pending"
            tag = f"approval-{number}"
            note = Note(title=title, path=f"/approvals/{number}", tag=tag)
            yield NotifyEvent.APPROVALS, note
        case ApprovalChanged(approval=number, state=ApprovalState.FAILED):
            title = f"The deployment of approval {number} of {who} failed"
            tag = f"failed-{number}"
            note = Note(title=title, path=f"/approvals/{number}", tag=tag)
            yield NotifyEvent.TROUBLE, note
        case QuestionAsked(question=number, to=to) if to == OPERATOR:
            title, tag = f"{who} asks question {number}", f"question-{number}"
            yield NotifyEvent.QUESTIONS, Note(title=title, path="/", tag=tag)
        case MessageSent(id=number, sender=sender, recipient=to) if to == OPERATOR:
            title, tag = f"Message {number} from {sender}", f"message-{number}"
            note = Note(title=title, path=f"/messages/{number}", tag=tag)
            yield NotifyEvent.MESSAGES, note
        case AgentStateChanged(state=state) if state in _STUCK:
            title, tag = f"{who} {_STUCK[state]}", f"trouble-{event.agent}-{state}"
            yield NotifyEvent.TROUBLE, Note(title=title, path=page, tag=tag)
        case AgentStateChanged(state=AgentState.OVER_BUDGET as state):
            title = f"{who} has used up its budget"
            tag = f"trouble-{event.agent}-{state}"
            yield NotifyEvent.BUDGETS, Note(title=title, path=page, tag=tag)
        case NotificationPublished(what=what) if what in _NOTIFICATIONS:
            title, tag = f"{who} {_NOTIFICATIONS[what]}", f"{what}-{event.agent}"
            yield NotifyEvent.TROUBLE, Note(title=title, path=page, tag=tag)


def quiet_until(hours: str | None, now: float, zone: tzinfo) -> float | None:
    """Return when the quiet hours around ``now`` end, None if ``now`` is outside them.

    ``hours`` has the form ``22:00-07:00``; an end before the start is on the next day.
    """
    if hours is None:
        return None
    begin, end = (_minutes(one) for one in hours.split("-"))
    here = datetime.fromtimestamp(now, zone)
    minute = here.hour * 60 + here.minute
    inside = begin <= minute < end if begin < end else minute >= begin or minute < end
    if not inside:
        return None
    day = here if minute < end else here + timedelta(days=1)
    ends = day.replace(hour=end // 60, minute=end % 60, second=0, microsecond=0)
    return ends.timestamp()


def _minutes(text: str) -> int:
    hour, _, minute = text.partition(":")
    return int(hour) * 60 + int(minute)
