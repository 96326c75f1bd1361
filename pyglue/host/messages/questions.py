"""Questions: asking does not block; the answer arrives as a message.

A question is asked or closed in one transaction with the message about it. The audit
log records how each one ended, without its text: who answered, cancelled or dismissed
it, or that it expired.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final

from pyglue.api.common import Role
from pyglue.api.questions import (
    AnswerParams,
    AskParams,
    AskResult,
    CancelQuestionParams,
    DismissParams,
    QuestionEnd,
    QuestionView,
)
from pyglue.clock import wall_clock
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.agent import Agent
from pyglue.host.core.audit import Audit
from pyglue.host.core.registry import Registry
from pyglue.host.messages.broker import Broker
from pyglue.host.messages.question_texts import (
    answer_message,
    answer_text,
    check_open,
    question_message,
)
from pyglue.names import MANAGER, OPERATOR, SYSTEM
from pyglue.store import questions as rows
from pyglue.store.database import Store, Tx
from pyglue.store.messages import NewMessage

_log = logging.getLogger(__name__)
_AGAIN_S: Final = 30.0
"""How long until a failed attempt to expire a question is repeated."""
_COST: Final = 4096
"""Bytes that a question counts for besides its text, for messages and audit lines."""


@dataclass(frozen=True, kw_only=True)
class Questions:
    """Asks, answers and expires questions."""

    store: Store
    registry: Registry
    broker: Broker
    audit: Audit
    _changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _listeners: list[Callable[[QuestionView, str], Awaitable[None]]] = field(
        default_factory=list, init=False
    )

    def listen(self, listener: Callable[[QuestionView, str], Awaitable[None]]) -> None:
        """Add a listener for answers to questions of the hive itself."""
        self._listeners.append(listener)

    async def ask_operator(
        self, question: str, options: tuple[str, ...], *, expires_at: float | None
    ) -> int:
        """Ask the operator in the hive's own name; return the question's id."""
        number = await self.store.write(
            lambda tx: rows.insert(
                tx,
                asker=SYSTEM,
                to=OPERATOR,
                question=question,
                options=options,
                multi=False,
                expires_at=expires_at,
            )
        )
        self._changed.set()
        return number

    async def ask(self, asker: Agent, params: AskParams) -> AskResult:
        """Ask the operator or a peer a question.

        Raises:
            HiveError: ``not_found``, ``recipient_not_allowed``, ``too_many``,
                ``rate_limited``.
        """
        self._check_recipient(asker, params.to)
        ttl = params.ttl_seconds
        expires_at = None if ttl is None else time.time() + ttl

        def insert(tx: Tx) -> int:
            most = self.broker.delivery.quotas.questions
            if most is not None and rows.open_of(tx, asker.name) >= most:
                raise HiveError(
                    ErrorCode.TOO_MANY,
                    f"You have {most} open questions. Wait for answers first.",
                )
            text = "".join((params.question, *params.options))
            self.broker.delivery.charge(tx, asker.name, _COST + len(text.encode()))
            return rows.insert(
                tx,
                asker=asker.name,
                to=params.to,
                question=params.question,
                options=params.options,
                multi=params.multi,
                expires_at=expires_at,
            )

        number = 0

        def put(tx: Tx) -> NewMessage:
            nonlocal number
            number = insert(tx)
            return replace(question_message(asker.name, number, params), hop=hop)

        if params.to == OPERATOR:  # allowed at any hop count, but rate-limited
            self.broker.send_policy.count(asker.name, OPERATOR)
            number = await self.store.write(insert)
        else:
            hop = await self.broker.send_policy.admit(asker, params.to)
            await self.broker.post_with(params.to, put)
        self._changed.set()
        return AskResult(question=number, expires_at=expires_at)

    async def cancel(self, asker: Agent, params: CancelQuestionParams) -> None:
        """Cancel a question, and notify the agent that was asked.

        Raises:
            HiveError: ``not_found``, ``conflict`` if it is closed.
        """

        def close(tx: Tx) -> QuestionView:
            question = rows.get(tx, params.question)
            if question.asker != asker.name:
                raise HiveError(
                    ErrorCode.NOT_FOUND,
                    f"You asked no question {question.id}. open_threads lists your "
                    "questions.",
                )
            check_open(question)
            rows.close(tx, question.id, None, asker.name, QuestionEnd.CANCELLED)
            return question

        question = await self.store.write(close)
        self.audited(question, asker.name, QuestionEnd.CANCELLED)
        self._changed.set()
        if question.to != OPERATOR:
            await self.broker.notify(
                question.to,
                f"Question {question.id} of {asker.name} is cancelled: an answer is "
                "no longer needed.",
            )

    async def dismiss(self, params: DismissParams, who: str) -> None:
        """Close any open question for the operator ``who``, without an answer.

        Raises:
            HiveError: ``not_found``, ``conflict`` if it is closed.
        """

        def close(tx: Tx) -> None:
            check_open(rows.get(tx, params.question))
            rows.close(tx, params.question, None, OPERATOR, QuestionEnd.DISMISSED)

        question = await self.store.read(
            lambda reader: rows.get(reader, params.question)
        )
        why = f" Reason: {params.reason}" if params.reason else ""
        text = "The operator dismissed this question; it will not be answered."
        await self._end(question, close, answer_message(question, SYSTEM, text + why))
        self.audited(question, who, QuestionEnd.DISMISSED, reason=params.reason)
        self._changed.set()

    async def withdraw(self, number: int) -> None:
        """Close a question of the hive itself, if it is still open."""

        def close(tx: Tx) -> None:
            question = rows.get(tx, number)
            if question.asker == SYSTEM and question.answered_at is None:
                rows.close(tx, number, None, SYSTEM, QuestionEnd.CANCELLED)

        await self.store.write(close)
        self._changed.set()

    async def answer(
        self, by: str, params: AnswerParams, *, who: str | None = None
    ) -> None:
        """Answer a question to ``by``; ``who`` is the operator's name in the audit log.

        Raises:
            HiveError: ``not_found``, ``conflict`` if it is closed, ``bad_request``.
        """

        def close(tx: Tx) -> None:
            check_open(rows.get(tx, params.question))
            if sender is not None:
                self.broker.delivery.charge(tx, by, len(text.encode()))
            rows.close(tx, params.question, text, by, QuestionEnd.ANSWERED)

        question = await self.store.read(
            lambda reader: rows.find(reader, params.question)
        )
        if question is None or question.to != by:
            raise HiveError(
                ErrorCode.NOT_FOUND,
                f"There is no question {params.question} for {by}.",
            )
        check_open(question)
        text = answer_text(question, params)
        sender = None if by == OPERATOR else self.registry.get(by)
        hop = 0
        if sender is not None:
            hop = await self.broker.send_policy.admit(sender, question.asker)
        await self._end(question, close, answer_message(question, by, text, hop))
        chosen = [question.options.index(choice) + 1 for choice in params.choices]
        self.audited(question, who or by, QuestionEnd.ANSWERED, chosen=chosen)
        if question.asker == SYSTEM:
            for listener in self._listeners:
                await listener(question, text)

    async def watch(self) -> None:
        """Expire questions when they are due; runs as long as hived does."""
        while True:
            self._changed.clear()
            now = time.time()
            next_at = await self._expire_due()
            await wall_clock.reach(next_at, self._changed, seen=now)

    async def _expire_due(self) -> float | None:
        """Expire questions that are due; return when to check again."""
        due = await self.store.read(lambda reader: rows.expired(reader, time.time()))
        least = 0.0
        for question in due:
            try:
                await self._expire(question)
            except HiveError as error:
                _log.warning("could not expire question %d: %s", question.id, error)
                least = _AGAIN_S  # such as a full disk: it stays open until then
        next_at = await self.store.read(rows.next_expiry)
        return None if next_at is None else max(time.time() + least, next_at)

    async def _expire(self, question: QuestionView) -> None:
        def close(tx: Tx) -> None:
            check_open(rows.get(tx, question.id))
            rows.close(tx, question.id, None, SYSTEM, QuestionEnd.EXPIRED)

        notice = answer_message(question, SYSTEM, "Expired without an answer.")
        await self._end(question, close, notice)
        self.audited(question, SYSTEM, QuestionEnd.EXPIRED)

    async def _end(
        self, question: QuestionView, close: Callable[[Tx], None], notice: NewMessage
    ) -> None:
        """Close a question and notify the asker, in one transaction.

        The hive itself gets answers through ``listen``; a destroyed agent gets nothing.
        """

        def both(tx: Tx) -> NewMessage:
            close(tx)
            return notice

        asker = question.asker
        if asker == SYSTEM or self.registry.find(asker) is None:
            await self.store.write(close)
        else:
            await self.broker.post_with(asker, both)

    def audited(
        self, question: QuestionView, who: str, how: QuestionEnd, **more: object
    ) -> None:
        """Record in the audit log how a question ended; call after the commit."""
        data = {"question": question.id, "to": question.to, **more}
        self.audit.record(who, f"question_{how.value}", question.asker, data)

    async def tell(self, question: QuestionView, text: str) -> None:
        """Notify the asking agent that its question ended without an answer."""
        if question.asker != SYSTEM:
            await self.broker.inform(answer_message(question, SYSTEM, text))

    def _check_recipient(self, asker: Agent, to: str) -> None:
        if to == OPERATOR:
            return  # a question to the human is always allowed
        self.registry.get(to)
        allowed = asker.policy().typed.allowed_recipients
        free = allowed is None or to in allowed
        if to == asker.name or not (
            free or to == MANAGER or asker.role is Role.MANAGER
        ):
            raise HiveError(
                ErrorCode.RECIPIENT_NOT_ALLOWED,
                f"You may not ask {to}. Ask the operator or the manager.",
            )
