"""The operator's reading calls: status, queues, messages, history and logs.

``operator`` adds this to a connection that has a session.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pyglue.api import operator as api
from pyglue.api.approvals import ApprovalsParams, ApprovalsResult
from pyglue.api.common import NoParams, Params
from pyglue.api.events import SubscribeParams, SubscribeResult
from pyglue.api.operations import OperationsResult
from pyglue.api.questions import QuestionsResult
from pyglue.host.api.services import Services
from pyglue.host.core import audit_log
from pyglue.jsonrpc import Connection, Handlers
from pyglue.names import OPERATOR
from pyglue.store import approvals, inboxes, operations, questions
from pyglue.store.database import Reader

P = TypeVar("P", bound=Params)
R = TypeVar("R")


def add_reading(handlers: Handlers, s: Services, connection: Connection) -> None:
    """Add the calls that change nothing."""

    async def subscribe(params: SubscribeParams) -> SubscribeResult:
        return SubscribeResult(seq=s.bus.subscribe(connection, params.since))

    def rows(query: Callable[[Reader, P], R]) -> Callable[[P], Awaitable[R]]:
        return lambda params: s.store.read(lambda reader: query(reader, params))

    on, audit = handlers.on, s.audit
    on(api.STATUS, lambda _: s.views.status())
    on(api.DOCTOR, lambda _: s.doctor.examine())
    on(api.EXPOSURE, lambda _: s.exposure.examine())
    on(api.AGENTS, s.views.agents)
    on(api.AGENT, s.views.agent)
    on(api.APPROVALS, rows(_approvals))
    on(api.APPROVAL, lambda it: s.approvals.review.detail(it.id))
    on(api.CONTEXT, s.approvals.review.context)
    on(api.COMPARE, s.versions.compare)
    on(api.OPERATION, lambda it: s.operations.get(it.id, it.wait_seconds))
    on(api.OPERATIONS, rows(_operations))
    on(api.INBOX, rows(lambda it, asked: inboxes.inbox(it, OPERATOR, asked)))
    on(api.MESSAGES, rows(inboxes.flow))
    on(api.PAIRS, rows(inboxes.pairs))
    on(api.THREAD, rows(inboxes.thread))
    on(api.QUESTIONS, rows(_questions))
    on(api.SUBSCRIBE, subscribe)
    on(api.METRIC_SERIES, s.turn_metrics.read)
    on(api.HISTORY, s.history.read)
    on(api.DRAFTS, s.life.drafts.all)
    on(api.KEPT, s.life.kept.all)
    on(api.SECRETS, s.secrets.all)
    on(api.WORKSPACES, s.workspaces.all)
    on(api.NOTIFICATIONS, s.notifier.overview)
    on(api.FILES, s.files.look)
    on(api.FILE, s.files.read)
    on(api.JOURNAL, s.journal.read)
    on(api.JOURNAL_FOLLOW, lambda it: s.journal.follow(it, connection))
    on(api.LIVE_TEXT_FOLLOW, lambda it: s.live_texts.follow(it, connection))
    on(
        api.AUDIT_VERIFY,
        lambda it: asyncio.to_thread(
            audit_log.verify, audit.path, audit.key, audit.head_path, it.anchors
        ),
    )
    on(
        api.AUDIT_EXPORT,
        lambda it: asyncio.to_thread(audit_log.export, audit.path, it),
    )


def _approvals(reader: Reader, asked: ApprovalsParams) -> ApprovalsResult:
    found = approvals.search(reader, asked)
    return ApprovalsResult(approvals=tuple(row.summary() for row in found))


def _operations(reader: Reader, _: NoParams) -> OperationsResult:
    return OperationsResult(operations=operations.recent(reader))


def _questions(reader: Reader, _: NoParams) -> QuestionsResult:
    return QuestionsResult(questions=questions.recent(reader))
