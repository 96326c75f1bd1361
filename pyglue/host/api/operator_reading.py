"""The operator's reading calls: status, queues, messages, history and logs.

``operator`` adds this to a connection that has a session.
"""

import asyncio
from dataclasses import dataclass

from pyglue.api import operator as api
from pyglue.api.approvals import ApprovalsParams, ApprovalsResult
from pyglue.api.common import NoParams
from pyglue.api.events import SubscribeParams, SubscribeResult
from pyglue.api.inbox import (
    InboxParams,
    InboxResult,
    MessagesParams,
    MessagesResult,
    PairsParams,
    PairsResult,
    ThreadParams,
    ThreadResult,
)
from pyglue.api.operations import OperationsResult
from pyglue.api.questions import QuestionsResult
from pyglue.host.api.services import Services
from pyglue.host.core import audit_log
from pyglue.jsonrpc import Connection, Handlers
from pyglue.names import OPERATOR
from pyglue.store import approvals as approval_rows
from pyglue.store import inboxes
from pyglue.store import operations as operation_rows
from pyglue.store import questions as question_rows
from pyglue.store.database import Store


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Reads rows of the store for the operator's calls."""

    store: Store

    async def approvals(self, params: ApprovalsParams) -> ApprovalsResult:
        """Search approvals, newest first."""
        found = await self.store.read(
            lambda reader: approval_rows.search(
                reader,
                state=params.state,
                agent=params.agent,
                before=params.before,
                limit=params.limit,
            )
        )
        return ApprovalsResult(approvals=tuple(row.summary() for row in found))

    async def inbox(self, params: InboxParams) -> InboxResult:
        """Return the operator's own messages."""
        found = await self.store.read(
            lambda reader: inboxes.inbox(
                reader,
                OPERATOR,
                show=params.show,
                limit=params.limit,
                before=params.before,
                clip=params.clip,
            )
        )
        return InboxResult(messages=found)

    async def flow(self, params: MessagesParams) -> MessagesResult:
        """Return the messages of the whole hive."""
        found = await self.store.read(
            lambda reader: inboxes.flow(
                reader,
                limit=params.limit,
                before=params.before,
                agent=params.agent,
                peer=params.peer,
                without=params.without,
                sender=params.sender,
                kind=params.kind,
                text=params.text,
                clip=params.clip,
            )
        )
        return MessagesResult(messages=found)

    async def pairs(self, params: PairsParams) -> PairsResult:
        """Return the pairs of senders and recipients."""
        return await self.store.read(lambda reader: inboxes.pairs(reader, params.agent))

    async def thread(self, params: ThreadParams) -> ThreadResult:
        """Return a message, the messages it replies to, and its replies."""
        found, more = await self.store.read(
            lambda reader: inboxes.thread(reader, params.id, params.clip)
        )
        return ThreadResult(messages=found, more=more)

    async def operations(self, _params: NoParams) -> OperationsResult:
        """Return recent operations."""
        return OperationsResult(operations=await self.store.read(operation_rows.recent))

    async def questions(self, _params: NoParams) -> QuestionsResult:
        """Return recent questions."""
        return QuestionsResult(questions=await self.store.read(question_rows.recent))


def add_reading(handlers: Handlers, s: Services, connection: Connection) -> None:
    """Add the calls that change nothing."""

    async def subscribe(params: SubscribeParams) -> SubscribeResult:
        return SubscribeResult(seq=s.bus.subscribe(connection, params.since))

    on, audit, rows = handlers.on, s.audit, Rows(store=s.store)
    on(api.STATUS, lambda _: s.views.status())
    on(api.DOCTOR, lambda _: s.doctor.examine())
    on(api.EXPOSURE, lambda _: s.exposure.examine())
    on(api.AGENTS, s.views.agents)
    on(api.AGENT, s.views.agent)
    on(api.APPROVALS, rows.approvals)
    on(api.APPROVAL, lambda it: s.approvals.review.detail(it.id))
    on(api.CONTEXT, s.approvals.review.context)
    on(api.COMPARE, s.versions.compare)
    on(api.OPERATION, lambda it: s.operations.get(it.id, it.wait_seconds))
    on(api.OPERATIONS, rows.operations)
    on(api.INBOX, rows.inbox)
    on(api.MESSAGES, rows.flow)
    on(api.PAIRS, rows.pairs)
    on(api.THREAD, rows.thread)
    on(api.QUESTIONS, rows.questions)
    on(api.SUBSCRIBE, subscribe)
    on(api.STATS, s.telemetry.read)
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
