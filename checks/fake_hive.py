"""A hived for the dashboard's tests: the real operator socket with canned data.

It speaks the real protocol through ``pyglue.jsonrpc.serve`` in a thread, keeps what
it was asked in ``calls``, and refuses as hived does: sessions, stale approvals,
second decisions. Tests change its lists directly and ``emit`` events.
"""

import asyncio
import contextlib
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from checks import web_data as data
from pyglue.api import manager as manager_api
from pyglue.api import operator as api
from pyglue.api.approvals import (
    ApprovalDetail,
    ApprovalKind,
    ApprovalParams,
    ApprovalsParams,
    ApprovalsResult,
    ApprovalState,
    ApproveParams,
    DenyParams,
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
from pyglue.api.control import ModelStatus, PauseAllParams, SetModelParams
from pyglue.api.events import Event, GapParams, SubscribeParams, SubscribeResult
from pyglue.api.journal import JournalLine, JournalPage, JournalParams
from pyglue.api.lifecycle import DraftsResult, DraftView, KeptResult, KeptView
from pyglue.api.logins import LoginParams, LoginResult, LogoutParams
from pyglue.api.messages import (
    InboxMessage,
    InboxParams,
    InboxResult,
    MarkReadParams,
    Message,
    MessageKind,
    MessagesParams,
    MessagesResult,
    OperatorSendParams,
    Priority,
    SentResult,
    ShownMessage,
)
from pyglue.api.operations import (
    Operation,
    OperationKind,
    OperationParams,
    OperationsResult,
    OperationState,
)
from pyglue.api.overview import AgentDetail, AgentsView, HiveStatus
from pyglue.api.questions import QuestionsResult
from pyglue.api.telemetry import (
    HistoryPage,
    HistoryParams,
    MetricsResult,
    StatSeries,
    StatsParams,
    StatsResult,
    Total,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import Connection, Handlers, Server, serve


class FakeHive:
    """Canned data behind a real socket."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.seq = 100
        self.events: list[Event] = []
        self.subscribers: list[Connection] = []
        self.reset()
        self._loop = asyncio.new_event_loop()
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    def reset(self) -> None:
        """Forget what tests did; connections and the count of events stay."""
        self.calls: list[tuple[str, object]] = []
        self.sessions: set[str] = set()
        self.metrics_token = "metrics-" + secrets.token_urlsafe(32)
        self.history_floor = 0
        self.codes: set[str] = set()
        self.agents = data.agents()
        self.approvals = {
            7: data.detail(data.summary(7)),
            6: data.detail(
                data.summary(
                    6,
                    state=ApprovalState.DEPLOYED,
                    decided_at=data.NOW - 4000,
                    decided_by="session 1a2b3c4d",
                    widens=(),
                    operation=11,
                )
            ),
            5: data.detail(
                data.summary(
                    5,
                    agent="bob",
                    kind=ApprovalKind.SPAWN,
                    state=ApprovalState.DENIED,
                    decided_at=data.NOW - 9000,
                    decided_by="session 1a2b3c4d",
                    reason="Not without a limit on its cost.",
                )
            ),
        }
        self.questions = [data.question(4)]
        self.inbox = [
            data.message(
                31,
                recipient="operator",
                sender="carol",
                body="The review of the parser is done: two remarks, none urgent.",
            ),
            data.message(
                30,
                recipient="operator",
                sender="system",
                kind=MessageKind.EVENT,
                body="bob has failed: its MCP server did not connect.",
                priority=Priority.HIGH,
            ),
        ]
        self.read: set[int] = {30}
        self.messages = data.flow()
        self.operations: dict[int, Operation] = {
            11: self._operation(11, OperationState.DONE, 6)
        }
        self.log = ("harness: ready", "turn 41: ok in 8.2 s")
        self.warnings: tuple[str, ...] = ()
        self.paused = False
        self.drafts: list[DraftView] = []
        self.kept: list[KeptView] = []
        self.overrides: dict[str, Callable[[Any], Awaitable[Any]]] = {}

    # --- for tests --------------------------------------------------------------

    def new_session(self) -> str:
        """Return the token of a fresh session."""
        token = secrets.token_urlsafe(32)
        self.sessions.add(token)
        return token

    def new_code(self) -> str:
        """Return a fresh one-time code."""
        code = secrets.token_urlsafe(32)
        self.codes.add(code)
        return code

    def called(self, name: str) -> list[Any]:
        """Return the parameters of all calls of one method."""
        return [params for method, params in self.calls if method == name]

    def emit(self, kind: str, agent: str | None = None, /, **fields: Any) -> int:
        """Send an event to every subscriber; returns its seq."""

        async def send() -> int:
            self.seq += 1
            event = Event(
                seq=self.seq, at=time.time(), kind=kind, agent=agent, data=fields
            )
            self.events.append(event)
            for connection in self.subscribers:
                connection.notify(api.EVENT, event)
            return self.seq

        seq: int = self._run(send())
        return seq

    def notify_gap(self, reason: str) -> None:
        """Tell every subscriber that events were left out."""

        async def send() -> None:
            for connection in self.subscribers:
                connection.notify(api.GAP, GapParams(seq=self.seq, reason=reason))

        self._run(send())

    def end_session(self, token: str) -> None:
        """End a session as hived does: later hellos are refused."""
        self.sessions.discard(token)

    def set_approval(self, number: int, **fields: Any) -> None:
        """Change an approval's row."""
        old = self.approvals[number]
        row = msgspec.structs.replace(old.approval, **fields)
        self.approvals[number] = msgspec.structs.replace(old, approval=row)

    def drop_connections(self) -> None:
        """Close every connection, as a restart does."""

        async def drop() -> None:
            assert self._server is not None
            for connection in list(self._server.connections):
                connection.close()

        self._run(drop())

    def run(self, work: Any) -> Any:
        """Run a coroutine in the hive's own event loop, for as long as it takes."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    # --- life ---------------------------------------------------------------------

    def start(self) -> None:
        """Listen."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
            self._thread.start()

        async def listen() -> None:
            self._server = await serve(self.socket, self._session)

        self._run(listen())

    def stop(self) -> None:
        """Stop listening and drop everyone; ``start`` listens again."""

        async def end() -> None:
            assert self._server is not None
            self._server.close()
            self.socket.unlink(missing_ok=True)
            for connection in list(self._server.connections):
                await connection.wait_closed()

        self._run(end())

    def close(self) -> None:
        """Stop for good."""
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        assert self._thread is not None
        self._thread.join(10)

    # --- what it answers ------------------------------------------------------------

    def _session(
        self, connection: Connection, hello: HelloParams
    ) -> tuple[HelloResult, Handlers]:
        if hello.session is not None and hello.session == self.metrics_token:
            handlers = Handlers()
            self._on(handlers, api.METRICS, self._metrics)
            result = HelloResult(protocol=PROTOCOL, role=Role.OPERATOR, server="fake")
            return result, handlers
        if hello.session is not None and hello.session not in self.sessions:
            raise HiveError(
                ErrorCode.UNAUTHENTICATED,
                "This session has ended. Run `hive login` for a new link.",
            )
        handlers = Handlers()
        self._on(handlers, api.LOGIN, self._login)
        if hello.session is not None:
            self._all(handlers, connection)
        result = HelloResult(protocol=PROTOCOL, role=Role.OPERATOR, server="fake")
        return result, handlers

    def _on(self, handlers: Handlers, method: Any, fn: Any) -> None:
        async def answer(params: Any) -> Any:
            self.calls.append((method.name, params))
            return await self.overrides.get(method.name, fn)(params)

        handlers.on(method, answer)

    def _all(self, handlers: Handlers, connection: Connection) -> None:
        async def subscribe(params: SubscribeParams) -> SubscribeResult:
            for event in self.events:
                if params.since is not None and event.seq > params.since:
                    asyncio.get_running_loop().call_soon(
                        connection.notify, api.EVENT, event
                    )
            self.subscribers.append(connection)
            connection.on_close(lambda: self.subscribers.remove(connection))
            return SubscribeResult(seq=self.seq)

        for method, fn in {
            api.STATUS: self._status,
            api.AGENTS: self._agents,
            api.AGENT: self._agent,
            api.APPROVALS: self._approvals,
            api.APPROVAL: self._approval,
            api.APPROVE: self._approve,
            api.DENY: self._deny,
            api.OPERATION: self._one_operation,
            api.OPERATIONS: self._operations,
            api.CANCEL_OPERATION: self._done,
            api.INBOX: self._inbox,
            api.MESSAGES: self._messages,
            api.QUESTIONS: self._questions,
            api.OPERATOR_SEND: self._send,
            api.OPERATOR_ANSWER: self._answer,
            api.MARK_READ: self._mark_read,
            api.SPAWN: self._spawn,
            api.LOGOUT: self._logout,
            api.SUBSCRIBE: subscribe,
            api.STATS: self._stats,
            api.HISTORY: self._history,
            api.CANCEL_TURN_OF: self._done,
            api.PAUSE: self._done,
            api.RESUME: self._done,
            api.PAUSE_ALL: self._pause_all,
            api.RESUME_ALL: self._resume_all,
            api.DRAFTS: self._drafts,
            api.KEPT: self._kept,
            api.RESTORE: self._spawned,
            api.PURGE: self._power,
            api.DRAFT_DISCARD: self._power,
            api.JOURNAL: self._journal,
            api.COMPACT: self._done,
            api.SET_MODEL: self._set_model,
            manager_api.START: self._power,
            manager_api.STOP: self._power,
            manager_api.RESTART: self._power,
        }.items():
            self._on(handlers, method, fn)

    async def _login(self, params: LoginParams) -> LoginResult:
        if params.code not in self.codes:
            raise HiveError(
                ErrorCode.UNAUTHENTICATED,
                "This link was used already or is too old. Run `hive login` again.",
            )
        self.codes.discard(params.code)
        expires_at = time.time() + 3600
        return LoginResult(session=self.new_session(), expires_at=expires_at)

    async def _logout(self, params: LogoutParams) -> Done:
        self.sessions.discard(params.session)
        return Done()

    async def _status(self, _params: NoParams) -> HiveStatus:
        pending = [a for a in self.approvals.values() if a.approval.state == "pending"]
        return HiveStatus(
            version="0.1.0",
            backend="local",
            isolation="bubblewrap",
            model_source="scripted model (no cost)",
            warnings=self.warnings,
            started_at=data.NOW - 7200,
            agents=len(self.agents),
            running=sum(one.wanted for one in self.agents),
            pending_approvals=len(pending),
            open_questions=len(self.questions),
            unread=len(self.inbox) - len(self.read),
            last_seq=self.seq,
            paused=self.paused,
        )

    async def _agents(self, _params: NoParams) -> AgentsView:
        return AgentsView(agents=tuple(self.agents))

    async def _agent(self, params: manager_api.AgentParams) -> AgentDetail:
        for one in self.agents:
            if one.name == params.agent:
                rows = [a.approval for a in self.approvals.values()]
                return AgentDetail(
                    agent=one,
                    manifest_json=data.MANIFEST,
                    agent_nix=data.NIX_AFTER,
                    approvals=tuple(r for r in rows if r.agent == one.name),
                    log_tail=self.log,
                )
        raise HiveError(ErrorCode.NOT_FOUND, f"There is no agent {params.agent!r}.")

    async def _approvals(self, params: ApprovalsParams) -> ApprovalsResult:
        rows = [
            one.approval
            for one in self.approvals.values()
            if params.state in (None, one.approval.state)
            and params.agent in (None, one.approval.agent)
        ]
        return ApprovalsResult(approvals=tuple(rows[: params.limit]))

    async def _approval(self, params: ApprovalParams) -> ApprovalDetail:
        found = self.approvals.get(params.id)
        if found is None:
            raise HiveError(ErrorCode.NOT_FOUND, f"There is no approval {params.id}.")
        return found

    async def _approve(self, params: ApproveParams) -> OperationRef:
        row = (await self._pending(params.id)).approval
        if (params.commit, params.manifest) != (row.commit, row.manifest_sha256):
            raise HiveError(
                ErrorCode.STALE,
                "What you saw is not what is proposed now. Read it again.",
            )
        self.operations[12] = self._operation(12, OperationState.RUNNING, row.id)
        self.set_approval(
            row.id,
            state=ApprovalState.BUILDING,
            decided_at=time.time(),
            decided_by="session 1a2b3c4d",
            operation=12,
        )
        return OperationRef(operation=12)

    async def _deny(self, params: DenyParams) -> Done:
        await self._pending(params.id)
        self.set_approval(
            params.id,
            state=ApprovalState.DENIED,
            decided_at=time.time(),
            decided_by="session 1a2b3c4d",
            reason=params.reason,
        )
        return Done()

    async def _pending(self, number: int) -> ApprovalDetail:
        found = await self._approval(ApprovalParams(id=number))
        if found.approval.state is not ApprovalState.PENDING:
            raise HiveError(
                ErrorCode.CONFLICT,
                f"Approval {number} is {found.approval.state.value} already.",
            )
        return found

    def _operation(
        self, number: int, state: OperationState, approval: int
    ) -> Operation:
        running = state is OperationState.RUNNING
        return Operation(
            id=number,
            kind=OperationKind.DEPLOY,
            agent="alice",
            state=state,
            step="apply" if running else "done",
            approval=approval,
            error=None,
            requested_by="session 1a2b3c4d",
            created_at=data.NOW - 3,
            finished_at=None if running else data.NOW - 1,
        )

    async def _one_operation(self, params: OperationParams) -> Operation:
        return self.operations[params.id]

    async def _operations(self, _params: NoParams) -> OperationsResult:
        return OperationsResult(operations=tuple(self.operations.values()))

    async def _inbox(self, params: InboxParams) -> InboxResult:
        rows = [
            InboxMessage(message=_shown(one, params.clip), read=one.id in self.read)
            for one in self.inbox[: params.limit]
        ]
        return InboxResult(messages=tuple(rows))

    async def _messages(self, params: MessagesParams) -> MessagesResult:
        rows = [
            one
            for one in self.messages
            if params.before is None or one.id < params.before
        ]
        shown = (_shown(one, params.clip) for one in rows[: params.limit])
        return MessagesResult(messages=tuple(shown))

    async def _questions(self, _params: NoParams) -> QuestionsResult:
        return QuestionsResult(questions=tuple(self.questions))

    async def _send(self, params: OperatorSendParams) -> SentResult:
        self.messages.insert(0, self._sent(params))
        return SentResult(id=self.messages[0].id)

    def _sent(self, params: OperatorSendParams) -> Message:
        return data.message(
            self.messages[0].id + 1,
            sender="operator",
            recipient=params.to,
            body=params.body,
            sent_at=time.time(),
        )

    async def _answer(self, params: Any) -> Done:
        self.questions = [q for q in self.questions if q.id != params.question]
        return Done()

    async def _mark_read(self, params: MarkReadParams) -> Done:
        self.read.add(params.id)
        return Done()

    async def _spawn(
        self, params: manager_api.SpawnParams
    ) -> manager_api.ProposalResult:
        return self._proposed(params.name)

    async def _spawned(
        self, params: manager_api.AgentParams
    ) -> manager_api.ProposalResult:
        return self._proposed(params.agent)

    def _proposed(self, agent: str) -> manager_api.ProposalResult:
        row = data.summary(
            8,
            agent=agent,
            kind=ApprovalKind.SPAWN,
            proposed_by="operator",
            widens=(),
        )
        detail = msgspec.structs.replace(data.detail(row), policy=())
        self.approvals = {8: detail, **self.approvals}
        return manager_api.ProposalResult(
            approval=8,
            commit=row.commit,
            manifest_sha256=row.manifest_sha256,
            widens=(),
        )

    async def _stats(self, params: StatsParams) -> StatsResult:
        series = StatSeries(agent="alice", key="turns", at=(0.0,), values=(3.0,))
        return StatsResult(
            since=params.since or 0.0,
            until=params.until or 1.0,
            step=params.step or 60,
            series=(series,),
        )

    async def _history(self, params: HistoryParams) -> HistoryPage:
        after = params.after or 0
        found = [
            event
            for event in self.events
            if event.agent == params.agent
            and event.kind.startswith("turn.")
            and after < event.seq < (params.before or 2**53)
        ]
        ahead = params.after is not None
        page = found[: params.limit] if ahead else found[-params.limit :]
        more = len(page) < len(found)
        return HistoryPage(
            events=tuple(page),
            seq=page[-1].seq if ahead and more else self.seq,
            more=more,
            is_cut=0 < after < self.history_floor,
        )

    async def _done(self, _params: Any) -> Done:
        return Done()

    async def _pause_all(self, _params: PauseAllParams) -> Done:
        self.paused = True
        return Done()

    async def _resume_all(self, _params: NoParams) -> Done:
        self.paused = False
        return Done()

    async def _drafts(self, _params: NoParams) -> DraftsResult:
        return DraftsResult(drafts=tuple(self.drafts))

    async def _kept(self, _params: NoParams) -> KeptResult:
        return KeptResult(kept=tuple(self.kept))

    async def _journal(self, params: JournalParams) -> JournalPage:
        lines = tuple(JournalLine(at=data.NOW, text=text) for text in self.log)
        return JournalPage(lines=lines[: params.lines], cursor=None)

    async def _set_model(self, params: SetModelParams) -> ModelStatus:
        return ModelStatus(manifest="haiku", active="haiku", queued=params.model)

    async def _metrics(self, _params: NoParams) -> MetricsResult:
        total = Total(agent="alice", key="tool:Bash", count=2, total=5, last=2)
        return MetricsResult(
            status=await self._status(NoParams()),
            agents=tuple(self.agents),
            totals=(total, msgspec.structs.replace(total, key="inbox")),
        )

    async def _power(self, _params: Any) -> OperationRef:
        return OperationRef(operation=13)


def _shown(message: Message, clip: int | None) -> ShownMessage:
    values = {name: getattr(message, name) for name in Message.__struct_fields__}
    body = message.body[:clip]
    left_out = len(message.body) - len(body)
    return ShownMessage(**{**values, "body": body, "left_out": left_out})


@contextlib.contextmanager
def running(socket: Path) -> Iterator[FakeHive]:
    """Run a fake hive at ``socket`` for the time of the block."""
    hive = FakeHive(socket)
    hive.start()
    try:
        yield hive
    finally:
        hive.close()
