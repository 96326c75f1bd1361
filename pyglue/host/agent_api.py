"""What an agent's own socket answers. The socket says who calls, nothing else does."""

from pyglue.api.agent import (
    ANSWER,
    ASK,
    RECV,
    SEND,
    STATE,
    TURN_END,
    TURN_EVENT,
    TURN_START,
    WHOAMI,
    AnswerParams,
    AskParams,
    AskResult,
    RecvParams,
    RecvResult,
    SendParams,
    SendResult,
    StateParams,
    TurnEndParams,
    TurnEventParams,
    TurnStartParams,
    TurnStartResult,
    WhoamiResult,
)
from pyglue.api.common import Done, NoParams
from pyglue.api.terminal import (
    TERMINAL_EXIT,
    TERMINAL_OUTPUT,
    TerminalExitParams,
    TerminalOutputParams,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.broker import Broker, Holder
from pyglue.host.questions import Questions
from pyglue.host.registry import Agent, Registry
from pyglue.host.terminals import Terminals
from pyglue.jsonrpc import Connection, Handlers
from pyglue.store import messages
from pyglue.store.database import Store


class AgentApi:
    """One connection on one agent's socket."""

    def __init__(
        self,
        agent: Agent,
        connection: Connection,
        *,
        store: Store,
        registry: Registry,
        broker: Broker,
        questions: Questions,
        terminals: Terminals,
        harness: bool,
    ) -> None:
        self._agent = agent
        self._connection = connection
        self._store = store
        self._registry = registry
        self._broker = broker
        self._questions = questions
        self._terminals = terminals
        self._harness = harness
        self._holder = Holder(agent)
        connection.on_close(self._gone)

    def handlers(self) -> Handlers:
        """Return what this connection answers; turns are the harness's alone."""
        handlers = Handlers()
        handlers.on(SEND, self._send)
        handlers.on(RECV, self._recv)
        handlers.on(ASK, self._ask)
        handlers.on(ANSWER, self._answer)
        handlers.on(WHOAMI, self._whoami)
        if self._harness:
            handlers.on(TURN_START, self._turn_start)
            handlers.on(TURN_END, self._turn_end)
            handlers.on_note(STATE, self._state)
            handlers.on_note(TURN_EVENT, self._turn_event)
            handlers.on(TERMINAL_OUTPUT, self._terminal_output)
            handlers.on_note(TERMINAL_EXIT, self._terminal_exit)
        return handlers

    async def _send(self, params: SendParams) -> SendResult:
        return await self._broker.send(self._agent, params)

    async def _recv(self, params: RecvParams) -> RecvResult:
        return await self._broker.recv(self._holder, params)

    async def _ask(self, params: AskParams) -> AskResult:
        return await self._questions.ask(self._agent, params)

    async def _answer(self, params: AnswerParams) -> Done:
        await self._questions.answer(self._agent.name, params)
        return Done()

    async def _whoami(self, _params: NoParams) -> WhoamiResult:
        agent = self._agent
        record = agent.policy()
        manifest = record.typed
        waiting = await self._store.read(
            lambda reader: messages.waiting(reader, agent.name)
        )
        return WhoamiResult(
            name=agent.name,
            role=agent.role,
            model=manifest.model,
            manifest_sha256=record.sha256,
            allowed_recipients=manifest.allowed_recipients,
            waiting=waiting,
            deployed_commit=agent.commit,
            description=manifest.description,
        )

    async def _turn_start(self, params: TurnStartParams) -> TurnStartResult:
        if self._agent.harness is not self._connection:
            raise HiveError(
                ErrorCode.CONFLICT, "Another harness of this agent has connected."
            )
        turn = await self._broker.turn_start(self._holder, params.model)
        return TurnStartResult(turn=turn)

    async def _turn_end(self, params: TurnEndParams) -> Done:
        await self._broker.turn_end(self._holder, params)
        return Done()

    def _state(self, params: StateParams) -> None:
        if self._agent.harness is self._connection:
            self._registry.report_state(self._agent, params.state, params.detail)

    def _turn_event(self, params: TurnEventParams) -> None:
        data = {"turn": params.turn, "kind": params.kind.value, "data": params.data}
        self._store.post(lambda tx: tx.emit("turn.event", self._agent.name, data))

    async def _terminal_output(self, params: TerminalOutputParams) -> Done:
        return await self._terminals.output(params, self._connection)

    def _terminal_exit(self, params: TerminalExitParams) -> None:
        self._terminals.exited(params, self._connection)

    def _gone(self) -> None:
        self._broker.hang_up(self._holder, harness=self._harness)
