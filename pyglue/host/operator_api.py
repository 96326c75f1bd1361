"""What the operator's socket answers: the one way for the CLI and the dashboard.

A connection from hive-web without a live session is answered ``login`` only.
"""

import asyncio

from pyglue import __version__
from pyglue.api import operator as api
from pyglue.api.approvals import (
    ApprovalDetail,
    ApprovalParams,
    ApprovalsParams,
    ApprovalsResult,
    ApproveParams,
    DenyParams,
)
from pyglue.api.archive import RepairResult
from pyglue.api.audit import (
    AuditExportParams,
    AuditExportResult,
    AuditVerdict,
    AuditVerifyParams,
)
from pyglue.api.common import (
    PROTOCOL,
    Done,
    HelloParams,
    HelloResult,
    NoParams,
    OperationRef,
    Role,
)
from pyglue.api.control import (
    CancelTurnOfParams,
    ModelStatus,
    PauseAllParams,
    PauseParams,
    SetModelParams,
)
from pyglue.api.doctor import DoctorResult
from pyglue.api.events import SubscribeParams, SubscribeResult
from pyglue.api.journal import JournalPage, JournalParams
from pyglue.api.lifecycle import PurgeParams, RollbackParams
from pyglue.api.logins import LoginCodeResult, LogoutParams
from pyglue.api.manager import (
    REBUILD,
    RESTART,
    START,
    STOP,
    AgentParams,
    DraftResult,
    ProposalResult,
    SpawnParams,
)
from pyglue.api.messages import (
    InboxParams,
    InboxResult,
    MarkReadParams,
    MessagesParams,
    MessagesResult,
    OperatorSendParams,
    SentResult,
)
from pyglue.api.operations import (
    Operation,
    OperationKind,
    OperationParams,
    OperationsResult,
)
from pyglue.api.overview import HiveStatus
from pyglue.api.questions import AnswerParams, DismissParams, QuestionsResult
from pyglue.api.telemetry import MetricsTokenParams, MetricsTokenResult
from pyglue.api.terminal import (
    TERMINAL_ACK,
    TERMINAL_ATTACH,
    TERMINAL_CLOSE,
    TERMINAL_INPUT,
    TERMINAL_OPEN,
    TERMINAL_RESIZE,
    TerminalAttachParams,
    TerminalAttachResult,
    TerminalOpenParams,
    TerminalOpenResult,
    TerminalParams,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.host import audit_log
from pyglue.host.services import Services
from pyglue.host.sessions import Caller
from pyglue.jsonrpc import Connection, Handlers
from pyglue.names import EVERYONE, OPERATOR
from pyglue.store import approvals as approval_rows
from pyglue.store import messages, operations, questions
from pyglue.store.messages import NewMessage


class OperatorApi:
    """One connection on the operator's socket."""

    def __init__(
        self, connection: Connection, caller: Caller, services: Services
    ) -> None:
        self._connection = connection
        self._caller = caller
        self._s = services

    def handlers(self) -> Handlers:
        """Return what this caller may call."""
        handlers = Handlers()
        if self._caller.web:
            handlers.on(api.LOGIN, self._s.sessions.login)
            if self._s.ports is not None:
                handlers.on(api.AGENT_PORTS, self._s.ports.answer)
        if self._caller.metrics:
            handlers.on(api.METRICS, self._s.views.metrics)
        if not self._caller.session:
            return handlers
        handlers.on(api.LOGOUT, self._logout)
        if not self._caller.web:
            handlers.on(api.LOGIN_CODE, self._login_code)
            handlers.on(api.METRICS_TOKEN, self._metrics_token)
            self._s.archives.add_to(handlers, self._connection, self._caller.name)
            handlers.on(api.REPAIR, self._repair)
        self._reading(handlers)
        self._deciding(handlers)
        self._in_terminals(handlers)
        return handlers

    def _reading(self, handlers: Handlers) -> None:
        views = self._s.views
        handlers.on(api.STATUS, self._status)
        handlers.on(api.DOCTOR, self._doctor)
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
        handlers.on(api.METRICS, views.metrics)
        handlers.on(api.DRAFTS, self._s.life.drafts.all)
        handlers.on(api.KEPT, self._s.life.kept.all)
        handlers.on(api.JOURNAL, self._s.journal.read)
        handlers.on(api.JOURNAL_FOLLOW, self._journal_follow)

    def _deciding(self, handlers: Handlers) -> None:
        handlers.on(api.SPAWN, self._spawn)
        handlers.on(START, self._start)
        handlers.on(STOP, self._stop)
        handlers.on(RESTART, self._restart)
        self._living(handlers)
        handlers.on(api.APPROVE, self._approve)
        handlers.on(api.DENY, self._deny)
        handlers.on(api.OPERATOR_SEND, self._send)
        handlers.on(api.MARK_READ, self._mark_read)
        handlers.on(api.OPERATOR_ANSWER, self._answer)
        handlers.on(api.DISMISS, self._dismiss)
        handlers.on(api.AUDIT_VERIFY, self._audit_verify)
        handlers.on(api.AUDIT_EXPORT, self._audit_export)
        handlers.on(api.PAUSE, self._pause)
        handlers.on(api.RESUME, self._resume)
        handlers.on(api.PAUSE_ALL, self._pause_all)
        handlers.on(api.RESUME_ALL, self._resume_all)
        handlers.on(api.CANCEL_TURN_OF, self._cancel_turn)
        handlers.on(api.COMPACT, self._compact)
        handlers.on(api.SET_MODEL, self._set_model)
        handlers.on(api.RESET_MODEL, self._reset_model)

    def _living(self, handlers: Handlers) -> None:
        handlers.on(api.DRAFT, self._draft)
        handlers.on(api.DRAFT_DISCARD, self._draft_discard)
        handlers.on(api.DESTROY, self._destroy)
        handlers.on(api.RESTORE, self._restore)
        handlers.on(api.PURGE, self._purge)
        handlers.on(api.ROLLBACK, self._rollback)
        handlers.on(REBUILD, self._rebuild)
        handlers.on(api.REBUILD_ALL, self._rebuild_all)

    def _in_terminals(self, handlers: Handlers) -> None:
        terminals, by, viewer = self._s.terminals, self._caller.name, self._connection

        async def opened(params: TerminalOpenParams) -> TerminalOpenResult:
            return await terminals.open(params, by)

        async def attached(params: TerminalAttachParams) -> TerminalAttachResult:
            return terminals.attach(params, viewer, by)

        async def closed(params: TerminalParams) -> Done:
            return terminals.close(params, by)

        handlers.on(TERMINAL_OPEN, opened)
        handlers.on(TERMINAL_ATTACH, attached)
        handlers.on(TERMINAL_CLOSE, closed)
        handlers.on_note(TERMINAL_INPUT, lambda it: terminals.input(it, viewer))
        handlers.on_note(TERMINAL_RESIZE, lambda it: terminals.resize(it, viewer))
        handlers.on_note(TERMINAL_ACK, lambda it: terminals.ack(it, viewer))

    # --- sessions -------------------------------------------------------------------

    async def _login_code(self, _params: NoParams) -> LoginCodeResult:
        return await self._s.sessions.mint_code(self._caller.name)

    async def _metrics_token(self, params: MetricsTokenParams) -> MetricsTokenResult:
        return await self._s.sessions.metrics_token(params, self._caller.name)

    async def _logout(self, params: LogoutParams) -> Done:
        await self._s.sessions.logout(params)
        self._s.terminals.close_of(self._caller.name)
        return Done()

    # --- reading --------------------------------------------------------------------

    async def _status(self, _params: NoParams) -> HiveStatus:
        return await self._s.views.status()

    async def _doctor(self, _params: NoParams) -> DoctorResult:
        return await self._s.doctor.examine()

    async def _repair(self, _params: NoParams) -> RepairResult:
        return await self._s.repair.mend(self._caller.name)

    async def _approvals(self, params: ApprovalsParams) -> ApprovalsResult:
        found = await self._s.store.read(
            lambda reader: approval_rows.search(
                reader, state=params.state, agent=params.agent, limit=params.limit
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

    # --- deciding -------------------------------------------------------------------

    async def _spawn(self, params: SpawnParams) -> ProposalResult:
        by = self._caller.name
        return await self._s.proposals.spawn(params.name, params.description, by)

    async def _start(self, params: AgentParams) -> OperationRef:
        return await self._request(OperationKind.START, params)

    async def _stop(self, params: AgentParams) -> OperationRef:
        return await self._request(OperationKind.STOP, params)

    async def _restart(self, params: AgentParams) -> OperationRef:
        return await self._request(OperationKind.RESTART, params)

    async def _request(self, kind: OperationKind, params: AgentParams) -> OperationRef:
        agent = self._s.registry.get(params.agent)
        operation = await self._s.operations.request(
            kind, agent.name, by=self._caller.name
        )
        return OperationRef(operation=operation.id)

    async def _draft(self, params: SpawnParams) -> DraftResult:
        by = self._caller.name
        return await self._s.life.drafts.make(params.name, params.description, by)

    async def _draft_discard(self, params: AgentParams) -> OperationRef:
        return await self._s.life.drafts.discard(params, self._caller.name)

    async def _destroy(self, params: AgentParams) -> OperationRef:
        return await self._s.life.ending.destroy(params, self._caller.name)

    async def _restore(self, params: AgentParams) -> ProposalResult:
        return await self._s.life.repeats.restore(params.agent, self._caller.name)

    async def _purge(self, params: PurgeParams) -> OperationRef:
        return await self._s.life.ending.purge(params, self._caller.name)

    async def _rollback(self, params: RollbackParams) -> OperationRef:
        operation = await self._s.life.repeats.rollback(
            params.agent, params.approval, self._caller.name
        )
        return OperationRef(operation=operation.id)

    async def _rebuild(self, params: AgentParams) -> OperationRef:
        operation = await self._s.life.repeats.rebuild(params.agent, self._caller.name)
        return OperationRef(operation=operation.id)

    async def _rebuild_all(self, _params: NoParams) -> OperationRef:
        return await self._s.life.rebuilding.request(self._caller.name)

    async def _approve(self, params: ApproveParams) -> OperationRef:
        operation = await self._s.approvals.approve(params, self._caller.name)
        return OperationRef(operation=operation.id)

    async def _deny(self, params: DenyParams) -> Done:
        await self._s.approvals.deny(params, self._caller.name)
        return Done()

    async def _send(self, params: OperatorSendParams) -> SentResult:
        if params.to == OPERATOR:
            raise HiveError(
                ErrorCode.BAD_REQUEST, "Send to an agent; this is your own inbox."
            )
        new = NewMessage(
            sender=OPERATOR,
            recipient=params.to,
            body=params.body,
            priority=params.priority,
            reply_to=params.reply_to,
        )
        if params.to == EVERYONE:
            number, missed = await self._s.broker.broadcast(new)
            return SentResult(id=number, missed=missed)
        message = await self._s.broker.post(new)
        return SentResult(id=message.id)

    async def _mark_read(self, params: MarkReadParams) -> Done:
        await self._s.store.write(
            lambda tx: messages.mark_read(tx, OPERATOR, params.id)
        )
        return Done()

    async def _answer(self, params: AnswerParams) -> Done:
        await self._s.questions.answer(OPERATOR, params, who=self._caller.name)
        return Done()

    async def _dismiss(self, params: DismissParams) -> Done:
        await self._s.questions.dismiss(params, self._caller.name)
        return Done()

    # --- the audit log ----------------------------------------------------------------

    async def _audit_verify(self, params: AuditVerifyParams) -> AuditVerdict:
        audit = self._s.audit
        return await asyncio.to_thread(
            audit_log.verify, audit.path, audit.key, audit.head_path, params.anchors
        )

    async def _audit_export(self, params: AuditExportParams) -> AuditExportResult:
        return await asyncio.to_thread(audit_log.export, self._s.audit.path, params)

    # --- agents at work -------------------------------------------------------------

    async def _pause(self, params: PauseParams) -> Done:
        await self._s.controls.pause(params, self._caller.name)
        return Done()

    async def _resume(self, params: AgentParams) -> Done:
        await self._s.controls.resume(params.agent, self._caller.name)
        return Done()

    async def _pause_all(self, params: PauseAllParams) -> Done:
        await self._s.controls.pause_all(params.reason, self._caller.name)
        return Done()

    async def _resume_all(self, _params: NoParams) -> Done:
        await self._s.controls.resume_all(self._caller.name)
        return Done()

    async def _cancel_turn(self, params: CancelTurnOfParams) -> Done:
        await self._s.controls.cancel(params.agent, params.reason, self._caller.name)
        return Done()

    async def _compact(self, params: AgentParams) -> Done:
        await self._s.controls.compact(params.agent, self._caller.name)
        return Done()

    async def _set_model(self, params: SetModelParams) -> ModelStatus:
        return await self._s.controls.set_model(params, self._caller.name)

    async def _reset_model(self, params: AgentParams) -> ModelStatus:
        return await self._s.controls.reset_model(params.agent, self._caller.name)


def operator_session(
    services: Services, connection: Connection, hello: HelloParams
) -> tuple[HelloResult, Handlers]:
    """Answer a hello on the operator's socket."""
    caller = services.sessions.caller(connection, hello)
    result = HelloResult(
        protocol=PROTOCOL, role=Role.OPERATOR, server=f"hived {__version__}"
    )
    return result, OperatorApi(connection, caller, services).handlers()
