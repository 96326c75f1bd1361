"""The data of the fake hived: agents, messages, history, metrics and logs."""

import time
from pathlib import Path
from typing import Any

import msgspec

from checks.kits.web import data as data
from checks.kits.web.decisions import Decisions
from pyglue.api import manager as manager_api
from pyglue.api import operator as api
from pyglue.api.accounts import AccountsResult, AccountView
from pyglue.api.audit import AuditExportParams, AuditExportResult
from pyglue.api.common import Done, NoParams, OperationRef
from pyglue.api.control import ModelStatus, PauseAllParams, SetModelParams
from pyglue.api.doctor import DoctorResult
from pyglue.api.events import Event
from pyglue.api.inbox import (
    InboxFilter,
    InboxParams,
    InboxResult,
    MarkParams,
    MessagesParams,
    MessagesResult,
    OperatorSendParams,
    Pair,
    PairsParams,
    PairsResult,
    SentResult,
    ThreadParams,
    ThreadResult,
)
from pyglue.api.journal import JournalLine, JournalPage, JournalParams
from pyglue.api.lifecycle import DraftsResult, DraftView, KeptResult, KeptView
from pyglue.api.messages import (
    Mark,
    Message,
    MessageKind,
    Priority,
    Progress,
    ShownMessage,
    Stage,
)
from pyglue.api.metrics import (
    HistoryPage,
    HistoryParams,
    MetricSeries,
    MetricSeriesParams,
    MetricSeriesResult,
)
from pyglue.api.notify import NotifyEvent
from pyglue.api.overview import (
    AgentDetail,
    AgentsView,
    AgentView,
    HivePause,
    HiveStatus,
    HostUse,
)
from pyglue.api.push import (
    NotificationsResult,
    PushBrowser,
    PushRemoveParams,
    PushSubscribeParams,
)
from pyglue.api.questions import QuestionsResult
from pyglue.api.queue import QueuedMessage, QueueParams, QueueResult
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.watch.files import Files
from pyglue.names import OPERATOR
from pyglue.paths import Layout


class Answers(Decisions):
    """Canned data, which tests change directly."""

    def __init__(self, room: Path) -> None:
        self.layout = Layout(room / "state", room)
        self.files = Files(known=self._found, layout=self.layout)
        self.seq = 100
        self.events: list[Event] = []
        self.reset()

    def reset(self) -> None:
        """Forget what tests did; the count of events stays."""
        super().reset()
        self.history_floor = 0
        self.begun = self.seq
        """The history of agents begins after it."""
        self.agents = data.agents()
        self.hosts: tuple[HostUse, ...] = ()
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
        self.finished: set[int] = set()
        """Of what is read, what is done."""
        self.messages = data.flow()
        self.log: tuple[str, ...] = ("harness: ready", "turn 41: ok in 8.2 s")
        self.warnings: tuple[str, ...] = ()
        self.accounts: tuple[str, ...] = ()
        self.pause: HivePause | None = None
        self.audit = data.audit()
        self.checks = data.checks()
        self.queues: dict[str, tuple[QueuedMessage, ...]] = {}
        self.push_key: str | None = data.PUSH_KEY
        self.browsers = [data.browser(1)]
        self.drafts: list[DraftView] = []
        self.kept: list[KeptView] = []

    def answers(self) -> dict[Any, Any]:
        """Return what answers each method."""
        return {
            **super().answers(),
            api.STATUS: self._status,
            api.AGENTS: self._agents,
            api.AGENT: self._agent,
            api.CANCEL_OPERATION: self._done,
            api.INBOX: self._inbox,
            api.MESSAGES: self._messages,
            api.THREAD: self._thread_of,
            api.QUESTIONS: self._questions,
            api.OPERATOR_SEND: self._send,
            api.OPERATOR_ANSWER: self._answer,
            api.MARK: self._mark,
            api.PAIRS: self._pairs,
            api.METRIC_SERIES: self._stats,
            api.HISTORY: self._history,
            api.CANCEL_TURN_OF: self._done,
            api.QUEUE: self._queue,
            api.QUEUE_DROP: self._done,
            api.QUEUE_LATER: self._done,
            api.NOTIFICATIONS: self._notifications,
            api.NOTIFY_TEST: self._done,
            api.PUSH_SUBSCRIBE: self._subscribe,
            api.PUSH_REMOVE: self._unsubscribe,
            api.PAUSE: self._done,
            api.RESUME: self._done,
            api.PAUSE_ALL: self._pause_all,
            api.RESUME_ALL: self._resume_all,
            api.DRAFTS: self._drafts,
            api.KEPT: self._kept,
            api.AUDIT_EXPORT: self._audit,
            api.DOCTOR: self._doctor,
            api.ACCOUNTS: self._accounts,
            api.PURGE: self._power,
            api.DRAFT_DISCARD: self._power,
            api.JOURNAL: self._journal,
            api.FILES: self.files.look,
            api.FILE: self.files.read,
            api.COMPACT: self._done,
            api.NEW_SESSION: self._done,
            api.SET_MODEL: self._set_model,
            api.RESET_MODEL: self._reset_model,
            api.SET_ACCOUNT: self._done,
            manager_api.START: self._power,
            manager_api.STOP: self._power,
            manager_api.RESTART: self._power,
        }

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
            pause=self.pause,
            is_estimate=any(one.is_estimate for one in self.agents),
            push_key=self.push_key,
        )

    async def _queue(self, params: QueueParams) -> QueueResult:
        known = {one.name for one in self.agents}
        if params.agent not in known:
            raise HiveError(ErrorCode.NOT_FOUND, f"There is no agent {params.agent}.")
        return QueueResult(messages=self.queues.get(params.agent, ()))

    async def _agents(self, _params: NoParams) -> AgentsView:
        return AgentsView(agents=tuple(self.agents))

    async def _agent(self, params: manager_api.AgentParams) -> AgentDetail:
        one = self._found(params.agent)
        rows = [a.approval for a in self.approvals.values()]
        return AgentDetail(
            agent=one,
            manifest_json=data.MANIFEST,
            agent_nix=data.NIX_AFTER,
            approvals=tuple(r for r in rows if r.agent == one.name),
            log_tail=self.log,
            hosts=self.hosts,
            accounts=self.accounts,
        )

    def _found(self, name: str) -> AgentView:
        for one in self.agents:
            if one.name == name:
                return one
        raise HiveError(ErrorCode.NOT_FOUND, f"There is no agent {name!r}.")

    async def _inbox(self, params: InboxParams) -> InboxResult:
        shown = {
            InboxFilter.OPEN: (Mark.UNREAD, Mark.READ),
            InboxFilter.UNREAD: (Mark.UNREAD,),
            InboxFilter.DONE: (Mark.DONE,),
            InboxFilter.ALL: tuple(Mark),
        }[params.show]
        rows = [
            self._marked(_shown(one, params.clip))
            for one in self.inbox
            if params.before is None or one.id < params.before
        ]
        found = [one for one in rows if one.mark in shown]
        return InboxResult(messages=tuple(found[: params.limit]))

    def _marked(self, one: ShownMessage) -> ShownMessage:
        if one not in self.inbox and one.recipient != OPERATOR:
            return one
        mark = Mark.READ if one.id in self.read else Mark.UNREAD
        mark = Mark.DONE if one.id in self.finished else mark
        return msgspec.structs.replace(one, mark=mark)

    async def _pairs(self, params: PairsParams) -> PairsResult:
        found: dict[tuple[str, str], list[Message]] = {}
        for message in self.messages:
            one, other = sorted((message.sender, message.recipient))
            if params.agent in (None, one, other):
                found.setdefault((one, other), []).append(message)
        pairs = tuple(
            Pair(
                one=one,
                other=other,
                messages=len(of),
                newest_at=max(message.sent_at for message in of),
            )
            for (one, other), of in found.items()
        )
        return PairsResult(pairs=pairs, counted=len(self.messages), more=False)

    async def _thread_of(self, params: ThreadParams) -> ThreadResult:
        """Return what the message and its answers are, one level deep."""
        found = [one for one in self.messages if params.id in (one.id, one.reply_to)]
        if not found:
            raise HiveError(ErrorCode.NOT_FOUND, f"There is no message {params.id}.")
        (this,) = (one for one in found if one.id == params.id)
        found += [one for one in self.messages if one.id == this.reply_to]
        found.sort(key=lambda one: one.id)
        return ThreadResult(
            messages=tuple(
                self._marked(_shown(one, None if one is this else params.clip))
                for one in found
            )
        )

    async def _messages(self, params: MessagesParams) -> MessagesResult:
        rows = [
            one
            for one in self.messages
            if (params.before is None or one.id < params.before)
            and params.text.casefold() in one.body.casefold()
            and (params.without not in (one.sender, one.recipient))
            and params.sender in (None, one.sender)
            and (
                params.peer is None
                or {one.sender, one.recipient} == {params.agent, params.peer}
            )
        ]
        shown = (
            msgspec.structs.replace(
                _shown(one, params.clip), progress=self._progress(one)
            )
            for one in rows[: params.limit]
        )
        return MessagesResult(messages=tuple(shown))

    def _progress(self, message: Message) -> Progress | None:
        """Return the message's own, or what tells of replies to the operator's."""
        if isinstance(message, ShownMessage) and message.progress is not None:
            return message.progress
        if message.sender != "operator":
            return None
        replies = [
            one.id
            for one in self.messages
            if one.reply_to == message.id and one.sender == message.recipient
        ]
        answer = min(replies, default=None)
        stage = Stage.QUEUED if answer is None else Stage.DONE
        return Progress(stage=stage, answer=answer)

    async def _questions(self, _params: NoParams) -> QuestionsResult:
        return QuestionsResult(questions=tuple(self.questions))

    async def _send(self, params: OperatorSendParams) -> SentResult:
        self.messages.insert(0, self._sent(params))
        if params.reply_to is not None:
            self._set(Mark.DONE, {params.reply_to} & {one.id for one in self.inbox})
        return SentResult(id=self.messages[0].id)

    def _sent(self, params: OperatorSendParams) -> Message:
        return data.message(
            self.messages[0].id + 1,
            sender="operator",
            recipient=params.to,
            body=params.body,
            reply_to=params.reply_to,
            sent_at=time.time(),
        )

    async def _answer(self, params: Any) -> Done:
        self.questions = [q for q in self.questions if q.id != params.question]
        return Done()

    async def _mark(self, params: MarkParams) -> Done:
        known = {one.id for one in self.inbox}
        self._set(params.mark, known & set(params.ids))
        up_to = {one for one in known if one <= (params.up_to or 0)}
        self._set(params.mark, up_to - self.read)
        return Done()

    def _set(self, mark: Mark, ids: set[int]) -> None:
        self.read = self.read - ids if mark is Mark.UNREAD else self.read | ids
        done = self.finished - ids
        self.finished = done | ids if mark is Mark.DONE else done

    async def _stats(self, params: MetricSeriesParams) -> MetricSeriesResult:
        series = MetricSeries(agent="alice", key="turns", at=(0.0,), values=(3.0,))
        return MetricSeriesResult(
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
            and max(after, self.begun) < event.seq < (params.before or 2**53)
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

    async def _notifications(self, _params: NoParams) -> NotificationsResult:
        return NotificationsResult(
            places=True,
            web_push=self.push_key is not None,
            events=tuple(NotifyEvent),
            quiet_hours="22:00-07:00",
            pending=0,
            problem=None,
            browsers=tuple(self.browsers),
        )

    async def _subscribe(self, params: PushSubscribeParams) -> PushBrowser:
        if params.replaces:  # the newest is the one before
            return PushBrowser(id=self.browsers[-1].id)
        number = max((one.id for one in self.browsers), default=0) + 1
        self.browsers.append(data.browser(number, browser=params.browser))
        return PushBrowser(id=number)

    async def _unsubscribe(self, params: PushRemoveParams) -> Done:
        known = [one for one in self.browsers if one.id != params.id]
        if len(known) == len(self.browsers):
            raise HiveError(ErrorCode.NOT_FOUND, f"No browser {params.id}.")
        self.browsers = known
        return Done()

    async def _pause_all(self, params: PauseAllParams) -> Done:
        self.pause = HivePause("session 1a2b3c4d", time.time(), params.reason)
        return Done()

    async def _resume_all(self, _params: NoParams) -> Done:
        self.pause = None
        return Done()

    async def _drafts(self, _params: NoParams) -> DraftsResult:
        return DraftsResult(drafts=tuple(self.drafts))

    async def _kept(self, _params: NoParams) -> KeptResult:
        return KeptResult(kept=tuple(self.kept))

    async def _journal(self, params: JournalParams) -> JournalPage:
        lines = tuple(JournalLine(at=data.NOW, text=text) for text in self.log)
        return JournalPage(lines=lines[: params.lines], cursor=None)

    async def _audit(self, params: AuditExportParams) -> AuditExportResult:
        before = params.before or len(self.audit) + 1
        found = [
            one
            for one in reversed(self.audit)
            if one.seq < before
            and params.what in (None, one.what)
            and params.who in (None, one.who)
            and params.agent in (None, one.agent)
        ]
        page = tuple(found[: params.limit])
        more = len(page) == params.limit
        return AuditExportResult(
            entries=page, after=None, before=page[-1].seq if more else None
        )

    async def _accounts(self, _params: NoParams) -> AccountsResult:
        return AccountsResult(
            accounts=(
                AccountView(
                    name="default",
                    is_default=True,
                    pays="an API key",
                    upstream_url="https://api.anthropic.com",
                    is_estimate=False,
                    agents=tuple(one.name for one in self.agents),
                    cost_today_usd=1.25,
                    windows=(),
                ),
            )
        )

    async def _doctor(self, _params: NoParams) -> DoctorResult:
        return DoctorResult(checks=tuple(self.checks))

    async def _set_model(self, params: SetModelParams) -> ModelStatus:
        return ModelStatus(manifest="haiku", active="haiku", queued=params.model)

    async def _reset_model(self, _params: Any) -> ModelStatus:
        return ModelStatus(manifest="haiku", active="haiku")

    async def _power(self, _params: Any) -> OperationRef:
        return OperationRef(operation=13)


def _shown(message: Message, clip: int | None) -> ShownMessage:
    values = {name: getattr(message, name) for name in Message.__struct_fields__}
    body = message.body[:clip]
    left_out = len(message.body) - len(body)
    progress = message.progress if isinstance(message, ShownMessage) else None
    return ShownMessage(
        **{**values, "body": body, "left_out": left_out, "progress": progress}
    )
