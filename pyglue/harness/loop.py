"""The harness's life: park for mail, run one turn over it, report, park again.

Mail is leased to the connection that it came on. If that connection is lost before
the turn begins, hived has the mail back and will hand it out again, so it is dropped
here; if it is lost later, the turn runs on and its end is simply not wanted. A turn
that did not end well gives its mail back, so the next one waits a growing while.
"""

import asyncio
import contextlib
import logging
import random
from dataclasses import dataclass
from typing import Final

from pyglue.api.agent import (
    RECV,
    TURN_END,
    TURN_START,
    WHOAMI,
    CancelTurnParams,
    Message,
    RecvParams,
    TurnEndParams,
    TurnEventKind,
    TurnOutcome,
    TurnStartParams,
)
from pyglue.api.common import AgentState, Done, NoParams
from pyglue.errors import ErrorCode, HiveError
from pyglue.harness.events import sentence
from pyglue.harness.link import Link
from pyglue.harness.notes import Notes
from pyglue.harness.prompt import render
from pyglue.harness.session import Figures, Session
from pyglue.harness.turn import Cancellation
from pyglue.jsonrpc import Connection

_WAIT_S: Final = 180.0
_MOST: Final = 32
_SLACK_S: Final = 30.0
_CALL_S: Final = 30.0

_STATE_AFTER: Final = {
    TurnOutcome.RATE_LIMITED: AgentState.RATE_LIMITED,
    TurnOutcome.AUTH: AgentState.NEEDS_LOGIN,
    TurnOutcome.BUDGET: AgentState.OVER_BUDGET,
}
_STATE_REFUSED: Final = {
    ErrorCode.RATE_LIMITED: AgentState.RATE_LIMITED,
    ErrorCode.OVER_BUDGET: AgentState.OVER_BUDGET,
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pauses:
    """Seconds to wait after turns that did not end well; doubled each time."""

    first_s: float = 5.0
    longest_s: float = 600.0

    def after(self, failures: int) -> float:
        """Return the pause after that many failures in a row, with some jitter."""
        pause = min(self.first_s * 2.0 ** (failures - 1), self.longest_s)
        return pause * random.uniform(0.8, 1.2)  # noqa: S311


class Loop:
    """Takes mail and runs turns, one at a time."""

    def __init__(
        self,
        link: Link,
        session: Session,
        notes: Notes,
        *,
        model: str,
        pauses: Pauses,
    ) -> None:
        """``model`` is the manifest's; hived may say another when a turn begins."""
        self._link = link
        self._session = session
        self._notes = notes
        self._model = model
        self._pauses = pauses
        self._failures = 0
        self._running: Cancellation | None = None
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            self._link.say(AgentState.IDLE)
            connection, messages = await self._mail()
            cancellation = self._running = Cancellation()  # may be asked at once
            try:
                turn, model = await self._begin(connection)
            except HiveError as error:
                self._running = None
                await self._refused(connection, error)
                continue
            self._quiet.clear()
            self._link.begin_turn(turn, connection)
            self._link.say(AgentState.THINKING)
            try:
                figures = await self._session.turn(
                    render(messages), model=model, cancellation=cancellation
                )
                self._running = None
                await self._end(connection, turn, figures)
            finally:
                self._running = None
                self._link.end_turn()
                self._quiet.set()
            await self._rest(figures)
            await self._tidy(model)

    async def cancel(self, params: CancelTurnParams) -> Done:
        """Interrupt the running turn, if there is one; hived's method."""
        if self._running is not None:
            self._running.cancel(params.reason)
        return Done()

    async def finish(self, seconds: float) -> None:
        """Interrupt the running turn, if any, and wait until it is reported."""
        if self._running is not None:
            self._running.cancel("The agent is being stopped.")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._quiet.wait(), seconds)

    async def _mail(self) -> tuple[Connection, tuple[Message, ...]]:
        """Wait for mail; return it with the connection that holds its leases.

        After a turn that failed, one message at a time: a message that makes every
        turn fail must not take the others with it.
        """
        most = 1 if self._failures else _MOST
        params = RecvParams(wait_seconds=_WAIT_S, max=most)
        while True:
            connection = await self._link.connection()
            try:
                got = await connection.call(RECV, params, timeout=_WAIT_S + _SLACK_S)
            except HiveError as error:
                _log.info("no mail: %s", error.message)
                if error.code is not ErrorCode.UNAVAILABLE:
                    await self._pause(AgentState.IDLE, error.message)
                continue
            if got.messages:
                return connection, got.messages

    async def _begin(self, connection: Connection) -> tuple[int, str]:
        """Begin the turn on the connection of its mail; return its id and model."""
        me = await connection.call(WHOAMI, NoParams(), timeout=_CALL_S)
        model = me.model or self._model
        params = TurnStartParams(model=model)
        started = await connection.call(TURN_START, params, timeout=_CALL_S)
        return started.turn, model

    async def _refused(self, connection: Connection, error: HiveError) -> None:
        _log.warning("the turn may not begin: %s", error.message)
        connection.close()  # gives the mail back, whatever refused the turn
        if error.code is not ErrorCode.UNAVAILABLE:
            state = _STATE_REFUSED.get(error.code, AgentState.IDLE)
            await self._pause(state, error.message)

    async def _end(self, connection: Connection, turn: int, figures: Figures) -> None:
        ended = figures.ended
        params = TurnEndParams(
            turn=turn,
            outcome=ended.outcome,
            reason=ended.reason,
            duration_ms=ended.duration_ms,
            steps=ended.steps,
            tool_calls=figures.tool_calls,
            denials=ended.denials,
            input_tokens=ended.input_tokens,
            output_tokens=ended.output_tokens,
            cost_usd=figures.cost_usd,
        )
        try:
            await connection.call(TURN_END, params, timeout=_CALL_S)
        except HiveError as error:
            _log.warning("the end of turn %d is not wanted: %s", turn, error.message)

    async def _rest(self, figures: Figures) -> None:
        """Go on at once after a good turn, after a growing pause otherwise.

        Also after a cancelled one: who cancelled it mostly stops the agent next.
        """
        ended = figures.ended
        if ended.outcome in (TurnOutcome.OK, TurnOutcome.CANCELLED):
            self._failures = 0
        if ended.outcome is TurnOutcome.OK:
            return
        state = _STATE_AFTER.get(ended.outcome, AgentState.IDLE)
        await self._pause(state, ended.reason)

    async def _tidy(self, model: str) -> None:
        """Shorten the notes when they have grown too long."""
        if not self._notes.are_long():
            return
        self._link.say(AgentState.COMPACTING, "Shortening the notes.")
        self._running = cancellation = Cancellation()
        self._quiet.clear()
        try:
            done = await self._notes.shorten(model=model, cancellation=cancellation)
        finally:
            self._running = None
            self._quiet.set()
        if done:
            text = "The notes were shortened; notes.md.bak has the old ones."
            self._link.emit(TurnEventKind.LOG, {"text": text})

    async def _pause(self, state: AgentState, detail: str | None) -> None:
        self._failures += 1
        seconds = self._pauses.after(self._failures)
        _log.info("waiting %.1f s: %s", seconds, detail)
        detail = f"Next try in {seconds:.0f} s. {detail or ''}".strip()
        self._link.say(state, sentence(detail))
        await asyncio.sleep(seconds)
