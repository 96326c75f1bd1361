"""Events that are worth a notification, and a notifier that looks at them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from checks.kits.api.events import raw
from pyglue.api import events
from pyglue.api.approvals import ApprovalState
from pyglue.api.common import AgentState
from pyglue.api.event_values import NotificationKind
from pyglue.api.events import Event
from pyglue.api.messages import MessageKind
from pyglue.clock import calendar_times
from pyglue.host.watch.notifier import Notifier

BERLIN: Final = calendar_times.named_zone("Europe/Berlin")


def event(data: events.Data, agent: str | None = "alice") -> Event:
    fields = msgspec.to_builtins(data)
    return Event(seq=1, at=0, kind=data.KIND, agent=agent, data=raw(fields))


def state(name: str) -> events.AgentStateChanged:
    secret = "a secret: hunter2"
    return events.AgentStateChanged(state=AgentState(name), since_at=0, detail=secret)


def approval_changed(state: ApprovalState) -> events.ApprovalChanged:
    return events.ApprovalChanged(approval=3, state=state, commit="", manifest="")


def message(to: str, number: int = 7) -> events.MessageSent:
    kind = MessageKind.MESSAGE
    return events.MessageSent(id=number, sender="alice", recipient=to, kind=kind)


@asynccontextmanager
async def watching(ours: Notifier) -> AsyncIterator[None]:
    task = asyncio.create_task(ours.watch())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


WORTH: Final = [
    (
        events.ApprovalCreated(approval=3),
        *("approvals", "Approval 3 of alice is pending", "/approvals/3"),
    ),
    (
        events.QuestionAsked(question=4, to="operator"),
        *("questions", "alice asks question 4", "/"),
    ),
    (message("operator"), "messages", "Message 7 from alice", "/messages/7"),
    (
        approval_changed(ApprovalState.FAILED),
        "trouble",
        "The deployment of approval 3 of alice failed",
        "/approvals/3",
    ),
    (state("failed"), "trouble", "alice has failed", "/agents/alice"),
    (state("needs_login"), "trouble", "alice needs a login", "/agents/alice"),
    (state("over_budget"), "budgets", "alice has used up its budget", "/agents/alice"),
    (
        events.NotificationPublished(what=NotificationKind.CRASHED, text="hunter2"),
        *("trouble", "alice has crashed", "/agents/alice"),
    ),
]
