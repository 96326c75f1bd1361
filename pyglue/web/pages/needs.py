"""Items that need the operator, as one queue: approvals, questions, problems, messages.

The most urgent comes first, and among equally urgent ones the oldest. Each source is
read separately: one that cannot be read is named, and does not affect the others.
"""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from pyglue.api.approvals import ApprovalsParams, ApprovalState, ApprovalSummary, Danger
from pyglue.api.common import AgentState, NoParams
from pyglue.api.inbox import InboxFilter, InboxParams
from pyglue.api.messages import Mark, Priority, ShownMessage
from pyglue.api.operator import AGENTS, APPROVALS, INBOX, QUESTIONS
from pyglue.api.overview import AgentView
from pyglue.api.questions import QuestionView
from pyglue.names import OPERATOR
from pyglue.web.pages.common import Part, part
from pyglue.web.pages.stuck import Stuck, all_stuck
from pyglue.web.rpc import hive

SHOWN: Final = 8
"""The rest of a longer queue is folded."""
_APPROVALS: Final = 50
_UNREAD: Final = 50
_SOON_S: Final = 600
"""A question that expires sooner than this is urgent."""


class Urgency(IntEnum):
    """How soon the operator should look, the most urgent first."""

    CRITICAL = 0
    HIGH = 1
    MEDIUM = 2
    LOW = 3

    @property
    def word(self) -> str:
        """Return its word on the page."""
        return self.name.lower()


_DANGERS: Final = {
    Danger.CRITICAL: Urgency.CRITICAL,
    Danger.HIGH: Urgency.HIGH,
    Danger.MEDIUM: Urgency.MEDIUM,
}
_PASSING: Final = frozenset({AgentState.RETRYING, AgentState.RATE_LIMITED})
"""Problems that may end without the operator."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """One thing that needs the operator since ``at``: exactly one of the others."""

    urgency: Urgency
    at: float
    approval: ApprovalSummary | None = None
    question: QuestionView | None = None
    stuck: Stuck | None = None
    message: ShownMessage | None = None

    @property
    def agent(self) -> str:
        """The agent that it is about; for a message, its sender."""
        if self.approval is not None:
            return self.approval.agent
        if self.question is not None:
            return self.question.asker
        if self.stuck is not None:
            return self.stuck.agent
        return "" if self.message is None else self.message.sender


@dataclass(frozen=True)
class Queue:
    """All items in order, and why some could not be read."""

    items: tuple[Need, ...]
    problems: tuple[str, ...]

    @property
    def agents(self) -> frozenset[str]:
        """The agents that need the operator; a message of no urgency does not count."""
        return frozenset(
            one.agent
            for one in self.items
            if one.message is None or one.urgency is not Urgency.LOW
        )


def everyone() -> tuple[AgentView, ...]:
    """Return all agents."""
    return hive().call(AGENTS, NoParams()).agents


def questions() -> tuple[QuestionView, ...]:
    """Return all open questions, to anyone."""
    return hive().call(QUESTIONS, NoParams()).questions


def unread(clip: int) -> tuple[ShownMessage, ...]:
    """Return the operator's unread messages, ``clip`` characters of each."""
    asked = InboxParams(show=InboxFilter.UNREAD, limit=_UNREAD, clip=clip)
    return hive().call(INBOX, asked).messages


def now(clip: int) -> Queue:
    """Read what needs the operator; of messages, ``clip`` characters."""
    return queue(part(everyone), part(questions), part(lambda: unread(clip)))


def queue(
    agents: Part[tuple[AgentView, ...]],
    asked: Part[tuple[QuestionView, ...]],
    inbox: Part[tuple[ShownMessage, ...]],
) -> Queue:
    """Return the items that need the operator; from ``inbox`` the unread ones."""
    found: list[Need] = []
    problems: list[str] = []
    for source in (
        part(_approvals),
        Part(_questions(asked.data or ()), asked.problem),
        part(lambda: _all_stuck(agents.data or ())),
        Part([_message(one) for one in inbox.data or () if one.mark is Mark.UNREAD]),
    ):
        found += source.data or ()
        problems += filter(None, [source.problem])
    problems += filter(None, [agents.problem, inbox.problem])
    found.sort(key=lambda one: (one.urgency, one.at))
    return Queue(tuple(found), tuple(dict.fromkeys(problems)))


def _approvals() -> Iterable[Need]:
    asked = ApprovalsParams(state=ApprovalState.PENDING, limit=_APPROVALS)
    return [
        Need(urgency=_of_change(one), at=one.created_at, approval=one)
        for one in hive().call(APPROVALS, asked).approvals
    ]


def _of_change(approval: ApprovalSummary) -> Urgency:
    """Return how urgent it is; the danger of an older approval may be unknown."""
    if approval.danger is None:
        return Urgency.HIGH if approval.widens else Urgency.LOW
    return _DANGERS[approval.danger]


def _questions(found: tuple[QuestionView, ...]) -> Iterable[Need]:
    return [
        Need(urgency=_of_question(one), at=one.asked_at, question=one)
        for one in sorted(found, key=lambda one: one.expires_at or math.inf)
        if one.to == OPERATOR and not one.answered_at
    ]


def _of_question(question: QuestionView) -> Urgency:
    expires = question.expires_at
    soon = expires is not None and expires - time.time() < _SOON_S
    return Urgency.HIGH if soon else Urgency.MEDIUM


def _all_stuck(agents: tuple[AgentView, ...]) -> Iterable[Need]:
    return [_of_stuck(one) for one in all_stuck(agents)]


def _of_stuck(stuck: Stuck) -> Need:
    passes = stuck.view is not None and stuck.view.state in _PASSING
    urgency = Urgency.MEDIUM if passes else Urgency.HIGH
    return Need(urgency=urgency, at=stuck.at, stuck=stuck)


def _message(message: ShownMessage) -> Need:
    high = message.priority is Priority.HIGH
    urgency = Urgency.MEDIUM if high else Urgency.LOW
    return Need(urgency=urgency, at=message.sent_at, message=message)
