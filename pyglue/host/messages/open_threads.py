"""The ``open_threads`` tool: an agent's unanswered messages, questions, reminders."""

import time
from typing import Final

from pyglue.api.agent import (
    OPEN_DAYS,
    OPEN_MOST,
    OpenMessage,
    OpenQuestion,
    OpenReminder,
    OpenThreadsResult,
)
from pyglue.api.messages import Message
from pyglue.api.questions import QuestionView
from pyglue.host.core.agent import Agent
from pyglue.store import inboxes, questions, reminders
from pyglue.store.database import Reader, Store

_DAY_S: Final = 86400.0
_BEGINS: Final = 200


async def open_threads(store: Store, agent: Agent) -> OpenThreadsResult:
    """Return what ``agent`` has not answered, and what it is waiting for."""
    async with agent.reading:
        return await store.read(lambda reader: _read(reader, agent.name))


def _read(reader: Reader, name: str) -> OpenThreadsResult:
    since = time.time() - OPEN_DAYS * _DAY_S
    received = inboxes.unanswered(
        reader, sender=None, recipient=name, since=since, most=OPEN_MOST
    )
    sent = inboxes.unanswered(
        reader, sender=name, recipient=None, since=since, most=OPEN_MOST
    )
    asked = questions.open_with(reader, name)
    return OpenThreadsResult(
        to_answer=tuple(map(_message, received)),
        unanswered=tuple(map(_message, sent)),
        questions_to_me=tuple(_question(q) for q in asked if q.to == name)[:OPEN_MOST],
        my_questions=tuple(_question(q) for q in asked if q.asker == name)[:OPEN_MOST],
        reminders=tuple(
            OpenReminder(
                id=reminder.id,
                text=reminder.text,
                due_at=reminder.due_at,
                repeat_seconds=reminder.repeat_s,
            )
            for reminder in reminders.of_agent(reader, name)
        ),
    )


def _message(message: Message) -> OpenMessage:
    return OpenMessage(
        id=message.id,
        sender=message.sender,
        recipient=message.recipient,
        sent_at=message.sent_at,
        begins=message.body[:_BEGINS],
    )


def _question(question: QuestionView) -> OpenQuestion:
    return OpenQuestion(
        id=question.id,
        asker=question.asker,
        to=question.to,
        question=question.question[:_BEGINS],
        options=question.options,
        asked_at=question.asked_at,
        expires_at=question.expires_at,
    )
