"""The methods of an agent's socket. Only the socket identifies the caller."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from pyglue.api.agent import (
    ACK,
    ANSWER,
    ASK,
    CANCEL_QUESTION,
    CANCEL_REMINDER,
    EXPOSED,
    LIVE_TEXT,
    OPEN_THREADS,
    RECV,
    REMIND,
    SEND,
    STATE,
    STEER,
    TURN_END,
    TURN_EVENT,
    TURN_START,
    WARMTH,
    WHOAMI,
    OpenThreadsResult,
    WhoamiResult,
)
from pyglue.api.common import SHORT_TEXT_MAX, NoParams, data_as
from pyglue.api.events import ServerDown
from pyglue.api.live_text import LiveTextParams
from pyglue.api.messages import AckParams, AckResult, RecvParams, RecvResult
from pyglue.api.terminal import TERMINAL_EXIT, TERMINAL_OUTPUT
from pyglue.api.turn_events import Server, TurnEventKind
from pyglue.api.turns import (
    StateParams,
    TurnEndParams,
    TurnEndResult,
    TurnEventParams,
    TurnOutcome,
    TurnStartParams,
    TurnStartResult,
    WarmthParams,
)
from pyglue.clock import wall_clock
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.control.budgets import Budgets
from pyglue.host.control.controls import Controls
from pyglue.host.control.credit import Credit
from pyglue.host.control.model_choices import ModelChoices
from pyglue.host.control.warmth import Warmth
from pyglue.host.core.agent import Agent, Holder, Report
from pyglue.host.core.day_limits import Limit
from pyglue.host.core.registry import Registry, with_room
from pyglue.host.core.secret_uses import SecretUses
from pyglue.host.core.transitions import Transitions
from pyglue.host.messages.broker import Broker
from pyglue.host.messages.open_threads import open_threads
from pyglue.host.messages.questions import Questions
from pyglue.host.messages.reminders import Reminders
from pyglue.host.watch.history import History
from pyglue.host.watch.live_text import LiveTexts
from pyglue.host.watch.steps import Steps
from pyglue.host.watch.terminals import Terminals
from pyglue.jsonrpc import Connection, Handlers
from pyglue.process import describe_exit
from pyglue.store import messages
from pyglue.store.database import Store, Tx

_KILLED: Final = describe_exit(-signal.SIGKILL)
_BY_LIMIT: Final = (
    "Claude Code was killed by this agent's memory limit: raise it "
    "(hyperhive.limits.memoryMax), or give the agent smaller tasks."
)


@dataclass(kw_only=True)
class AgentApi:
    """One connection on one agent's socket."""

    agent: Agent
    connection: Connection
    store: Store
    registry: Registry
    transitions: Transitions
    broker: Broker
    questions: Questions
    reminders: Reminders
    terminals: Terminals
    history: History
    steps: Steps
    live_texts: LiveTexts
    budgets: Budgets
    credit: Credit
    controls: Controls
    model_choices: ModelChoices
    warmth: Warmth
    secret_uses: SecretUses
    harness: bool
    memory_kills: Callable[[str], int] = lambda _name: 0
    """Returns how many of an agent's processes its memory limit has killed."""
    _killed: int = field(init=False, default=0)
    _holder: Holder = field(init=False)

    def __post_init__(self) -> None:
        self._holder = Holder(agent=self.agent, harness=self.harness)
        self.connection.on_close(lambda: self.broker.mailbox.hang_up(self._holder))
        if self.harness:
            self.controls.greet(self.agent, self.connection)
            self.live_texts.greet(self.agent, self.connection)

    def handlers(self) -> Handlers:
        """Return this connection's handlers; only a harness may run turns."""
        handlers = Handlers()
        registry, agent = self.registry, self.agent
        questions, reminders = self.questions, self.reminders
        on, done = handlers.on, handlers.on_done
        on(SEND, with_room(registry, agent, lambda it: self.broker.send(agent, it)))
        on(RECV, self._recv)
        on(ASK, with_room(registry, agent, lambda it: questions.ask(agent, it)))
        done(
            ANSWER,
            with_room(registry, agent, lambda it: questions.answer(agent.name, it)),
        )
        done(CANCEL_QUESTION, lambda it: questions.cancel(agent, it))
        on(REMIND, with_room(registry, agent, lambda it: reminders.remind(agent, it)))
        done(CANCEL_REMINDER, lambda it: reminders.cancel(agent, it))
        on(OPEN_THREADS, self._open_threads)
        if not self.harness:
            on(ACK, self._ack)
        on(WHOAMI, self._whoami)
        on(EXPOSED, lambda _: self.secret_uses.exposed_to(agent))
        if self.harness:
            terminals, harness = self.terminals, self.connection
            on(TURN_START, self._turn_start)
            on(TURN_END, self._turn_end)
            on(STEER, lambda it: self.broker.mailbox.steer(self._holder, it.turn))
            handlers.on_note(STATE, self._state)
            handlers.on_note(WARMTH, self._warm)
            handlers.on_note(LIVE_TEXT, self._live_text)
            handlers.on_note(TURN_EVENT, self._turn_event)
            done(TERMINAL_OUTPUT, lambda it: terminals.output(it, harness))
            handlers.on_note(TERMINAL_EXIT, lambda it: terminals.exited(it, harness))
        return handlers

    async def _recv(self, params: RecvParams) -> RecvResult:
        if not params.peek:
            self._check_receiver()
            return await self.broker.mailbox.recv(self._holder, params)
        async with self.agent.reading:
            return await self.broker.mailbox.recv(self._holder, params)

    def _check_receiver(self) -> None:
        """Refuse ``recv`` to other clients while the agent's harness is connected."""
        name = self.agent.name
        if not self.harness and self.agent.harness is not None:
            raise HiveError(
                ErrorCode.CONFLICT,
                f"{name} is running and receives its own messages. Here you can send, "
                "ask, and view pending messages with 'peek'. To receive here, ask the "
                f"operator to stop it: hive stop {name}.",
            )

    async def _open_threads(self, _params: NoParams) -> OpenThreadsResult:
        name = self.agent.name
        async with self.agent.reading:
            return await self.store.read(lambda reader: open_threads(reader, name))

    async def _ack(self, params: AckParams) -> AckResult:
        count = await self.broker.mailbox.ack(self._holder, params.messages)
        return AckResult(acknowledged=count)

    async def _whoami(self, _params: NoParams) -> WhoamiResult:
        agent = self.agent
        record = agent.policy()
        manifest = record.typed
        async with agent.reading:
            waiting = await self.store.read(
                lambda reader: messages.waiting(reader, agent.name)
            )
        return WhoamiResult(
            name=agent.name,
            role=agent.role,
            model=agent.model,
            manifest_sha256=record.sha256,
            allowed_recipients=manifest.allowed_recipients,
            waiting=waiting,
            deployed_commit=agent.commit,
            description=manifest.description,
        )

    async def _turn_start(self, params: TurnStartParams) -> TurnStartResult:
        agent = self.agent
        if agent.harness is not self.connection:
            raise HiveError(
                ErrorCode.CONFLICT, "Another harness of this agent has connected."
            )
        left: list[float | None] = []
        try:
            if not agent.turns.take(1, time.monotonic()):
                raise HiveError(
                    ErrorCode.RATE_LIMITED,
                    f"Turns of {agent.name} begin too quickly. Wait a second.",
                    details={"retry_after_s": 1.0},
                )
            model = self.model_choices.next(agent, params.model)
            turn = await self.broker.mailbox.turn_start(
                self._holder,
                model,
                seen=params.messages,
                check=lambda tx: left.append(self._check(tx)),
            )
        except HiveError as error:
            self.broker.delivery.release_loose(self._holder)
            if error.code is ErrorCode.OVER_BUDGET and "limit" in error.details:
                limit = Limit(str(error.details["limit"]))
                await self.budgets.reached(
                    agent, limit, float(error.details["until_at"])
                )
            raise
        self.warmth.turn_began(agent, warm=params.warm)
        self._killed = self.memory_kills(agent.name)
        self.controls.begun(agent)
        info = self.model_choices.models.resolve(model)
        if info is not None and info.is_own:
            return TurnStartResult(turn=turn, model=model, context_window=info.context)
        return TurnStartResult(turn=turn, model=model, budget_usd=left[0])

    def _check(self, tx: Tx) -> float | None:
        """Refuse a turn that may not begin; return its budget in US dollars, if any."""
        self.controls.check_turn(self.agent)
        return self.budgets.check(tx, self.agent)

    def _with_cause(self, params: TurnEndParams) -> TurnEndParams:
        """If the CLI died by SIGKILL at the agent's memory limit, add that cause."""
        reason = params.reason or ""
        if _KILLED not in reason or self.memory_kills(self.agent.name) <= self._killed:
            return params
        told = f"{_BY_LIMIT} {reason}"[:SHORT_TEXT_MAX]
        return msgspec.structs.replace(params, reason=told)

    async def _turn_end(self, params: TurnEndParams) -> TurnEndResult:
        agent = self.agent
        params = self._with_cause(params)
        await self.broker.mailbox.turn_end(self._holder, params)
        if params.outcome is TurnOutcome.BUDGET:
            limit = await self.budgets.used_up(agent)
            if limit is not None:
                await self.budgets.reached(agent, limit, None)
            elif not params.budget_used:
                await self.credit.used_up(agent, params.reason)
        until = agent.retry_at
        wait = 0.0 if until is None else until.left(wall_clock.moment())
        return TurnEndResult(
            retry_after_s=wait if wait > 0 else None,
            keep_warm=self._may_keep(params.warm_bytes),
        )

    def _may_keep(self, size: int) -> bool:
        if self.agent.harness is not self.connection:
            return False
        return self.warmth.offered(self.agent, size)

    def _warm(self, params: WarmthParams) -> None:
        if self.agent.harness is self.connection:
            self.warmth.reported(self.agent, params.bytes)

    def _state(self, params: StateParams) -> None:
        if self.agent.harness is self.connection:
            report = Report(params.state, params.detail, params.since_at)
            self.transitions.state_reported(self.agent, report)

    def _live_text(self, params: LiveTextParams) -> None:
        if self.agent.harness is self.connection:
            self.live_texts.said(self.agent, params)

    def _turn_event(self, params: TurnEventParams) -> None:
        if self.agent.harness is self.connection:
            self.steps.reported(self.agent, params)
        if self.registry.disk_full is not None or self.agent.held is not None:
            return
        kept = self.history.add(self.agent.name, params)
        if kept and params.kind == TurnEventKind.SERVER:
            server = data_as(Server, params.data)
            if server is not None:
                down = ServerDown(name=server.name, status=server.status)
                self.store.emit(self.agent.name, down)
