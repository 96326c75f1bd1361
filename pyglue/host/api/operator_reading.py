"""The operator's reading calls: status, queues, messages, history and logs.

``operator`` adds this to a connection that has a session.
"""

import asyncio

from pyglue.api import operator as api
from pyglue.api.approvals import (
    ApprovalDetail,
    ApprovalParams,
    ApprovalsParams,
    ApprovalsResult,
)
from pyglue.api.audit import (
    AuditExportParams,
    AuditExportResult,
    AuditVerdict,
    AuditVerifyParams,
)
from pyglue.api.common import NoParams
from pyglue.api.doctor import DoctorResult
from pyglue.api.events import SubscribeParams, SubscribeResult
from pyglue.api.exposure import ExposureResult
from pyglue.api.journal import JournalPage, JournalParams
from pyglue.api.messages import InboxParams, InboxResult, MessagesParams, MessagesResult
from pyglue.api.operations import Operation, OperationParams, OperationsResult
from pyglue.api.overview import HiveStatus
from pyglue.api.questions import QuestionsResult
from pyglue.host.api.services import Services
from pyglue.host.core import audit_log
from pyglue.jsonrpc import Connection, Handlers
from pyglue.names import OPERATOR
from pyglue.store import approvals as approval_rows
from pyglue.store import messages, operations, questions


class Reading:
    """Calls that change nothing."""

    def __init__(self, services: Services, connection: Connection) -> None:
        self._s = services
        self._connection = connection

    def add_to(self, handlers: Handlers) -> None:
        """Register the handlers."""
        views = self._s.views
        handlers.on(api.STATUS, self._status)
        handlers.on(api.DOCTOR, self._doctor)
        handlers.on(api.EXPOSURE, self._exposure)
        handlers.on(api.AGENTS, views.agents)
        handlers.on(api.AGENT, views.agent)
        handlers.on(api.APPROVALS, self._approvals)
        handlers.on(api.APPROVAL, self._approval)
        handlers.on(api.OPERATION, self._operation)
        handlers.on(api.OPERATIONS, self._operations)
        handlers.on(api.INBOX, self._inbox)
        handlers.on(api.MESSAGES, self._messages)
        handlers.on(api.QUESTIONS, self._questions)
        handlers.on(api.SUBSCRIBE, self._subscribe)
        handlers.on(api.STATS, self._s.telemetry.read)
        handlers.on(api.HISTORY, self._s.history.read)
        handlers.on(api.DRAFTS, self._s.life.drafts.all)
        handlers.on(api.KEPT, self._s.life.kept.all)
        handlers.on(api.JOURNAL, self._s.journal.read)
        handlers.on(api.JOURNAL_FOLLOW, self._journal_follow)
        handlers.on(api.AUDIT_VERIFY, self._audit_verify)
        handlers.on(api.AUDIT_EXPORT, self._audit_export)

    async def _status(self, _params: NoParams) -> HiveStatus:
        return await self._s.views.status()

    async def _doctor(self, _params: NoParams) -> DoctorResult:
        return await self._s.doctor.examine()

    async def _exposure(self, _params: NoParams) -> ExposureResult:
        return await self._s.exposure.examine()

    async def _approvals(self, params: ApprovalsParams) -> ApprovalsResult:
        found = await self._s.store.read(
            lambda reader: approval_rows.search(
                reader,
                state=params.state,
                agent=params.agent,
                before=params.before,
                limit=params.limit,
            )
        )
        return ApprovalsResult(approvals=tuple(row.summary() for row in found))

    async def _approval(self, params: ApprovalParams) -> ApprovalDetail:
        return await self._s.approvals.detail(params.id)

    async def _operation(self, params: OperationParams) -> Operation:
        return await self._s.operations.get(params.id, params.wait_seconds)

    async def _operations(self, _params: NoParams) -> OperationsResult:
        return OperationsResult(operations=await self._s.store.read(operations.recent))

    async def _inbox(self, params: InboxParams) -> InboxResult:
        found = await self._s.store.read(
            lambda reader: messages.inbox(
                reader,
                OPERATOR,
                unread_only=params.unread_only,
                limit=params.limit,
                clip=params.clip,
            )
        )
        return InboxResult(messages=found)

    async def _messages(self, params: MessagesParams) -> MessagesResult:
        found = await self._s.store.read(
            lambda reader: messages.flow(
                reader,
                limit=params.limit,
                before=params.before,
                agent=params.agent,
                kind=params.kind,
                text=params.text,
                clip=params.clip,
            )
        )
        return MessagesResult(messages=found)

    async def _questions(self, _params: NoParams) -> QuestionsResult:
        return QuestionsResult(questions=await self._s.store.read(questions.recent))

    async def _subscribe(self, params: SubscribeParams) -> SubscribeResult:
        seq = self._s.bus.subscribe(self._connection, params.since)
        return SubscribeResult(seq=seq)

    async def _journal_follow(self, params: JournalParams) -> JournalPage:
        return await self._s.journal.follow(params, self._connection)

    async def _audit_verify(self, params: AuditVerifyParams) -> AuditVerdict:
        audit = self._s.audit
        return await asyncio.to_thread(
            audit_log.verify, audit.path, audit.key, audit.head_path, params.anchors
        )

    async def _audit_export(self, params: AuditExportParams) -> AuditExportResult:
        return await asyncio.to_thread(audit_log.export, self._s.audit.path, params)
