"""The harness's one connection to hived, reconnected for as long as it runs.

hived may restart at any time: the link reconnects by itself and repeats hello and
state, and a running turn continues. Leases belong to a connection, so ``loop`` keeps
the connection that its messages came on; everything else calls through the link, over
the current connection.
"""

import asyncio
import logging
import time
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from pyglue import jsonrpc
from pyglue.api.agent import LIVE_TEXT, RECV, STATE, STEER, TURN_EVENT, WARMTH
from pyglue.api.common import (
    PROTOCOL,
    AgentState,
    HarnessReport,
    HelloParams,
    Method,
    Params,
    Result,
)
from pyglue.api.live_text import LiveTextParams
from pyglue.api.messages import RecvParams, RecvResult
from pyglue.api.turn_events import AnyLiveEvent
from pyglue.api.turns import (
    StateParams,
    SteerParams,
    SteerResult,
    TurnEventParams,
    WarmthParams,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.harness.joined import Joined
from pyglue.jsonrpc import Connection, Handlers

P = TypeVar("P", bound=Params)
R = TypeVar("R", bound=Result)

CLIENT: Final = "hive-agent"
_FIRST_S: Final = 0.1
_LONGEST_S: Final = 3.0
_TIMEOUT_S: Final = 30.0
"""How long a tool call waits for hived to come back."""
_STEER_S: Final = 2.0
"""How long the model waits for new messages."""

_log = logging.getLogger(__name__)


class Link:
    """Connects, reconnects, and carries calls and notifications."""

    def __init__(self, socket: Path, handlers: Handlers, joined: Joined) -> None:
        """``handlers`` answer hived's calls on the connection.

        ``joined`` records the messages that the model takes within a turn.
        """
        self._socket = socket
        self._handlers = handlers
        self._joined = joined
        self._connection: Connection | None = None
        self._connected = asyncio.Event()
        self._state: StateParams | None = None
        self._warmth = WarmthParams(bytes=0)
        self._turn: int | None = None
        self._turn_connection: Connection | None = None

    async def run(self, report: HarnessReport) -> None:
        """Stay connected until cancelled; every hello carries ``report``.

        Raises:
            HiveError: ``unsupported_protocol``: hived never accepts this harness.
        """
        hello = HelloParams(protocol=PROTOCOL, client=CLIENT, harness=report)
        pause = _FIRST_S
        while True:
            try:
                connection = await jsonrpc.connect(
                    self._socket, self._handlers, hello=hello
                )
            except HiveError as error:
                if error.code is ErrorCode.UNSUPPORTED_PROTOCOL:
                    raise
                _log.info("no connection to the hive: %s", error.message)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_S)
                continue
            pause = _FIRST_S
            self._connection = connection
            if self._state is not None:
                connection.notify(STATE, self._state)
            if self._warmth.bytes:
                connection.notify(WARMTH, self._warmth)
            self._connected.set()
            _log.info("connected to the hive, manifest %.12s", report.manifest_sha256)
            try:
                await connection.wait_closed()
                _log.info("lost the connection to the hive")
            finally:
                self._connected.clear()
                self._connection = None
                connection.close()

    async def connection(self) -> Connection:
        """Return the connection, waiting for one for as long as it takes."""
        while self._connection is None or self._connection.closed:
            self._connected.clear()
            await self._connected.wait()
        return self._connection

    async def call(
        self, method: Method[P, R], params: P, *, timeout: float | None = None
    ) -> R:
        """Call over the current connection.

        Messages taken within a turn are acknowledged with it, so they may only come
        over the turn's own connection.

        Raises:
            HiveError: as ``Connection.call``; ``unavailable`` when hived does not come
                back in time.
        """
        mine = self._turn_connection
        if method.name == RECV.name and mine is not None and mine.closed:
            raise HiveError(
                ErrorCode.UNAVAILABLE,
                "The hive restarted during this turn. Finish your turn: queued "
                "messages will wake you.",
            )
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                connection = await self.connection()
        except TimeoutError:
            raise HiveError(
                ErrorCode.UNAVAILABLE,
                "The hive is not answering; it may be restarting. Finish your turn, "
                "or try again in a minute.",
            ) from None
        answer = await connection.call(method, params, timeout=timeout)
        taken = mine is not None and mine is self._turn_connection
        if isinstance(answer, RecvResult) and taken and not _peeks(params):
            self._joined.took(answer.messages)
        return answer

    async def steer(self) -> SteerResult:
        """Take the messages to insert into the running turn.

        Raises:
            HiveError: as ``Connection.call``, soon: a model waits meanwhile.
        """
        turn, mine = self._turn, self._turn_connection
        if turn is None or mine is None or mine.closed:
            raise HiveError(ErrorCode.UNAVAILABLE, "No turn runs on this connection.")
        return await mine.call(STEER, SteerParams(turn=turn), timeout=_STEER_S)

    def begin_turn(self, turn: int, connection: Connection) -> None:
        """Assign events and messages to ``turn``, which began on ``connection``."""
        self._turn, self._turn_connection = turn, connection

    def end_turn(self) -> None:
        """Assign them to no turn."""
        self._turn = self._turn_connection = None

    def say(self, state: AgentState, detail: str | None = None) -> None:
        """Report the harness's state, now and after every reconnect."""
        before = self._state
        since = time.time()
        if before is not None and before.state is state and before.since_at is not None:
            since = before.since_at
        self._state = StateParams(state=state, detail=detail, since_at=since)
        if self._connection is not None:
            self._connection.notify(STATE, self._state)

    def warm(self, held: int, *, known: bool = False) -> None:
        """Report the memory of the CLI kept for the next turn; 0: there is none.

        ``known``: hived knows it already; only a change has to be reported.
        """
        self._warmth = WarmthParams(bytes=held)
        if self._connection is not None and not known:
            self._connection.notify(WARMTH, self._warmth)

    def live_text(self, live: LiveTextParams) -> None:
        """Send what the model is writing in the running turn."""
        if self._connection is not None and self._turn is not None:
            params = msgspec.structs.replace(live, turn=self._turn)
            self._connection.notify(LIVE_TEXT, params)

    def emit(self, live: AnyLiveEvent) -> None:
        """Send a live event; without a connection it is lost."""
        if self._connection is not None:
            data = msgspec.Raw(msgspec.json.encode(live))
            event = TurnEventParams(turn=self._turn, kind=live.KIND, data=data)
            self._connection.notify(TURN_EVENT, event)


def _peeks(params: Params) -> bool:
    return isinstance(params, RecvParams) and params.peek
