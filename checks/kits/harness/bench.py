"""hived's side of a harness, small and in memory.

``FakeHive`` serves one agent's socket with real JSON-RPC: an inbox with leases, turns,
and a record of all that the harness said. The harness itself and a model are in
``process``.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import msgspec

from checks.kits.api.events import data
from checks.kits.manifest.smallest import MANIFEST
from checks.kits.patience import PATIENCE_S
from pyglue import jsonrpc
from pyglue.api import agent as api
from pyglue.api import manager as manager_api
from pyglue.api.common import (
    PROTOCOL,
    AgentState,
    Done,
    HarnessReport,
    HelloParams,
    HelloResult,
    NoParams,
    OperationRef,
    Role,
)
from pyglue.api.live_text import LiveTextParams
from pyglue.api.messages import (
    AckParams,
    AckResult,
    Message,
    MessageKind,
    Priority,
    RecvParams,
    RecvResult,
    SendParams,
    SendResult,
)
from pyglue.api.questions import AskParams, AskResult
from pyglue.api.turn_events import TurnEventKind
from pyglue.api.turns import (
    StateParams,
    SteerParams,
    SteerResult,
    TurnEndParams,
    TurnEndResult,
    TurnEventParams,
    TurnOutcome,
    TurnStartParams,
    TurnStartResult,
)
from pyglue.errors import HiveError
from pyglue.jsonrpc import Connection, Handlers
from pyglue.manifest.record import PinnedRecord, canonical


def record(**changes: Any) -> bytes:
    """Return the canonical pinned record of a manifest with these options."""
    return PinnedRecord(MANIFEST | changes, None).encode()


def server(command: str, *args: str, tools: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return an MCP server as a manifest holds it."""
    return {"command": command, "args": args, "env": {}, "allowedTools": tools}


def script(*steps: dict[str, Any]) -> str:
    """Return a message body that tells the scripted model what to do."""
    return f"SCRIPT: {canonical(list(steps)).decode()}"


@dataclass
class Lease:
    """A message that a connection holds."""

    message: Message
    connection: Connection
    at_boundary: bool = False


@dataclass(repr=False)
class FakeHive:
    """One agent's socket. Change ``refuse_turns`` and friends to misbehave."""

    path: Path
    role: Role = Role.AGENT
    model: str = "haiku"
    reports: list[HarnessReport | None] = field(default_factory=list)
    states: list[StateParams] = field(default_factory=list)
    events: list[TurnEventParams] = field(default_factory=list)
    live: list[LiveTextParams] = field(default_factory=list)
    """What the model was writing, as it was sent to who watches."""
    ends: list[TurnEndParams] = field(default_factory=list)
    starts: list[TurnStartParams] = field(default_factory=list)
    asked_who: int = 0
    """How often it was asked for an agent's name and model."""
    sent: list[SendParams] = field(default_factory=list)
    calls: list[Any] = field(default_factory=list)
    begun: list[manager_api.SubmitBeginParams] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)
    main: str | None = None
    refuse_turns: HiveError | None = None
    refuse_recv: HiveError | None = None
    """How the next ``recv`` is refused, once."""
    asked_mail: int = 0
    """How often it was asked for mail."""
    refuse_send: HiveError | None = None
    refuse_ends: list[HiveError] = field(default_factory=list)
    """How the next reports of a turn's end are refused, in turn."""
    budget_usd: float | None = None
    retry_after_s: float | None = None
    keeps_warm: bool = False
    """Whether a CLI may wait for the next turn."""
    warmth: list[int] = field(default_factory=list)
    """What the harness said that its CLI holds between turns."""
    body_when_back: str | None = None
    """What messages say when they are handed out again; None: the same."""
    steered: int = 0
    """How often it was asked what is new for the running turn."""
    refuse_steer: HiveError | None = None
    """How the next question for news is refused, once."""
    loses_answer: bool = False
    """The next mail is handed out, and its answer does not arrive."""

    def __post_init__(self) -> None:
        self._inbox: list[Message] = []
        self._leases: list[Lease] = []
        self._next = 1
        self._turn: int | None = None
        self._changed = asyncio.Condition()
        self._server: jsonrpc.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "FakeHive":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()

    async def start(self) -> None:
        """Listen; also again after ``stop``, as a restarted hived would."""
        self._server = await jsonrpc.serve(self.path, self._session)

    def stop(self) -> None:
        """Close the socket and every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None

    @property
    def harness(self) -> Connection:
        """The connection of the harness."""
        assert self._server is not None
        return next(c for c in self._server.connections if _is_harness(c))

    @property
    def waiting(self) -> list[Message]:
        """The messages that nobody holds."""
        return list(self._inbox)

    async def forget(self) -> None:
        """Be as new for the next test, once the harness, which stays, is idle."""
        await self.until(lambda: not (self._inbox or self._leases or self._turn))
        await self.until(lambda: self.states[-1].state is AgentState.IDLE)
        new = FakeHive(self.path, role=self.role)
        new.reports, new.states = self.reports[-1:], self.states[-1:]
        for one in fields(self):
            setattr(self, one.name, getattr(new, one.name))
        self._inbox, self._leases, self._next, self._turn = [], [], 1, None

    def replace_waiting(self, body: str) -> None:
        """Let what waits say something else."""
        again = [msgspec.structs.replace(one, body=body) for one in self._inbox]
        self._inbox = again

    async def mail(self, body: str, **changes: Any) -> Message:
        """Put a message in the inbox."""
        values: dict[str, Any] = {
            "id": self._next,
            "sender": "operator",
            "recipient": "bob",
            "body": body,
            "kind": MessageKind.MESSAGE,
            "priority": Priority.NORMAL,
            "sent_at": 1_767_225_600.0,
            "hop": 0,
            "redelivered": False,
        }
        message = Message(**(values | changes))
        self._next += 1
        self._inbox.append(message)
        self._tell()
        await self._notify()
        return message

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until something that the harness did makes ``condition`` true."""
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(condition)

    def said(self, state: AgentState) -> bool:
        """Tell whether the harness reported ``state``."""
        return any(params.state is state for params in self.states)

    def texts(self, kind: TurnEventKind) -> list[dict[str, Any]]:
        """Return the data of all events of one kind."""
        return [data(event) for event in self.events if event.kind == kind]

    # --- what the socket answers ------------------------------------------------

    def _session(
        self, connection: Connection, hello: HelloParams
    ) -> tuple[HelloResult, Handlers]:
        self.reports.append(hello.harness)
        connection.on_close(lambda: self._return(connection))
        handlers = Handlers()
        handlers.on(api.RECV, lambda p: self._recv(connection, p))
        handlers.on(api.SEND, self._send)
        handlers.on(api.WHOAMI, self._whoami)
        handlers.on(api.ASK, self._ask)
        handlers.on(api.ANSWER, self._done)
        handlers.on(api.CANCEL_QUESTION, self._done)
        handlers.on(api.REMIND, self._remind)
        handlers.on(api.CANCEL_REMINDER, self._done)
        handlers.on(api.OPEN_THREADS, self._open_threads)
        if hello.harness is None:
            handlers.on(api.ACK, lambda p: self._ack(connection, p))
        handlers.on(api.TURN_START, lambda p: self._turn_start(connection, p))
        handlers.on(api.TURN_END, lambda p: self._turn_end(connection, p))
        handlers.on(api.STEER, lambda p: self._steer(connection, p))
        handlers.on_note(api.STATE, lambda p: self._note(self.states, p))
        handlers.on_note(api.TURN_EVENT, lambda p: self._note(self.events, p))
        handlers.on_note(api.LIVE_TEXT, lambda p: self._note(self.live, p))
        handlers.on_note(api.WARMTH, lambda p: self._note(self.warmth, p.bytes))
        if self.role is Role.MANAGER:
            handlers.on(manager_api.WITHDRAW, self._done)
            handlers.on(manager_api.LIST_AGENTS, self._list_agents)
            handlers.on(manager_api.REQUEST_SPAWN, self._propose)
            handlers.on(manager_api.SUBMIT_BEGIN, self._submit_begin)
            handlers.on(manager_api.SUBMIT_CHUNK, self._submit_chunk)
            handlers.on(manager_api.SUBMIT_COMMIT, self._propose)
            for method in (manager_api.START, manager_api.STOP, manager_api.RESTART):
                handlers.on(method, self._operate)
        self._soon()
        result = HelloResult(
            protocol=PROTOCOL, role=self.role, server="fake", agent="bob"
        )
        return result, handlers

    async def _recv(self, connection: Connection, params: RecvParams) -> RecvResult:
        if self.refuse_recv is not None:
            refusal, self.refuse_recv = self.refuse_recv, None
            raise refusal
        if params.had is not None:
            await self._ack(connection, AckParams(messages=params.had))
            self._return(connection)
        self.asked_mail += 1
        self._soon()
        deadline = asyncio.get_running_loop().time() + params.wait_seconds
        async with self._changed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait_for(lambda: self._inbox)
            taken = self._inbox[: params.max]
            if not params.peek:
                del self._inbox[: params.max]
                self._leases += [Lease(message, connection) for message in taken]
        if taken and self.loses_answer:
            self.loses_answer = False
            self._soon()
            await asyncio.get_running_loop().create_future()  # until it is given up
        return RecvResult(messages=tuple(taken))

    async def _send(self, params: SendParams) -> SendResult:
        if self.refuse_send is not None:
            raise self.refuse_send
        self.sent.append(params)
        await self._notify()
        return SendResult(id=1000 + len(self.sent), hop=1)

    async def _whoami(self, _: NoParams) -> api.WhoamiResult:
        self.asked_who += 1
        return api.WhoamiResult(
            name="bob",
            role=self.role,
            model=self.model,
            manifest_sha256="",
            allowed_recipients=None,
            waiting=len(self._inbox),
            deployed_commit=None,
            description="",
        )

    async def _ask(self, params: AskParams) -> AskResult:
        self.calls.append(params)
        return AskResult(question=7)

    async def _remind(self, params: api.RemindParams) -> api.RemindResult:
        self.calls.append(params)
        return api.RemindResult(reminder=5, due_at=1.0)

    async def _open_threads(self, _: NoParams) -> api.OpenThreadsResult:
        return api.OpenThreadsResult(
            to_answer=(),
            unanswered=(),
            questions_to_me=(),
            my_questions=(),
            reminders=(),
        )

    async def _ack(self, connection: Connection, params: AckParams) -> AckResult:
        mine = [x for x in self._leases if x.connection is connection]
        done = [
            x
            for x in mine
            if params.messages is None or x.message.id in params.messages
        ]
        self._leases = [x for x in self._leases if x not in done]
        return AckResult(acknowledged=len(done))

    async def _done(self, params: Any) -> Done:
        self.calls.append(params)
        return Done()

    async def _turn_start(
        self, connection: Connection, params: TurnStartParams
    ) -> TurnStartResult:
        if self.refuse_turns is not None:
            self._return(connection)
            raise self.refuse_turns
        self.starts.append(params)
        self._turn = len(self.starts)
        if self._inbox:
            self._tell()
        await self._notify()
        return TurnStartResult(
            turn=len(self.starts), model=self.model, budget_usd=self.budget_usd
        )

    async def _turn_end(
        self, connection: Connection, params: TurnEndParams
    ) -> TurnEndResult:
        if self.refuse_ends:
            raise self.refuse_ends.pop(0)
        self.ends.append(params)
        self._turn = None
        if self._unheard(connection, params.heard):
            self._return(connection, self._unheard(connection, params.heard))
        if params.outcome in (TurnOutcome.OK, TurnOutcome.COMPACTED):
            self._leases = [x for x in self._leases if x.connection is not connection]
        else:
            self._return(connection)
        await self._notify()
        return TurnEndResult(
            retry_after_s=self.retry_after_s,
            keep_warm=self.keeps_warm and params.warm_bytes > 0,
        )

    async def _steer(self, connection: Connection, params: SteerParams) -> SteerResult:
        self.steered += 1
        if self.refuse_steer is not None:
            refusal, self.refuse_steer = self.refuse_steer, None
            raise refusal
        assert params.turn == self._turn
        urgent = [
            one
            for one in self._inbox
            if one.sender == "operator" or one.priority is Priority.HIGH
        ]
        self._inbox = [one for one in self._inbox if one not in urgent]
        self._leases += [Lease(one, connection, at_boundary=True) for one in urgent]
        return SteerResult(
            messages=tuple(urgent),
            waiting=len(self._inbox),
            senders=tuple(dict.fromkeys(one.sender for one in self._inbox)),
            newest=max((one.id for one in self._inbox), default=0),
        )

    async def _list_agents(self, _: NoParams) -> manager_api.AgentsResult:
        return manager_api.AgentsResult(agents=())

    async def _propose(self, params: Any) -> manager_api.ProposalResult:
        self.calls.append(params)
        return manager_api.ProposalResult(
            approval=3, commit="c" * 40, manifest_sha256="h", widens=("model",)
        )

    async def _submit_begin(
        self, params: manager_api.SubmitBeginParams
    ) -> manager_api.SubmitBeginResult:
        self.begun.append(params)
        return manager_api.SubmitBeginResult(upload="u1", main=self.main)

    async def _submit_chunk(self, params: manager_api.SubmitChunkParams) -> Done:
        self.chunks.append(params.data)
        return Done()

    async def _operate(self, params: manager_api.AgentParams) -> OperationRef:
        self.calls.append(params)
        return OperationRef(operation=9)

    # --- bookkeeping --------------------------------------------------------------

    def _tell(self) -> None:
        """Say that something is new for the running turn, if one runs."""
        if self._turn is not None and self._server is not None:
            for connection in self._server.connections:
                if _is_harness(connection):
                    connection.notify(api.NEWS, NoParams())

    def _unheard(self, connection: Connection, heard: tuple[int, ...]) -> list[Lease]:
        return [
            one
            for one in self._leases
            if one.at_boundary
            and one.connection is connection
            and one.message.id not in heard
        ]

    def _return(self, connection: Connection, these: list[Lease] | None = None) -> None:
        """Give back what a connection holds, or these of it."""
        held = [x for x in self._leases if x.connection is connection]
        given = held if these is None else these
        back = [x.message for x in given]
        self._leases = [x for x in self._leases if x not in given]
        changes: dict[str, Any] = {"redelivered": True}
        if self.body_when_back is not None:
            changes["body"] = self.body_when_back
        again = [msgspec.structs.replace(message, **changes) for message in back]
        self._inbox = again + self._inbox
        self._soon()

    def _note(self, log: list[Any], params: Any) -> None:
        log.append(params)
        self._soon()

    def _soon(self) -> None:
        task = asyncio.get_running_loop().create_task(self._notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def _is_harness(connection: Connection) -> bool:
    hello = connection.hello
    return isinstance(hello, HelloParams) and hello.harness is not None
