"""The harness's loop: wait for messages, run one turn with them, report, repeat.

Messages are leased to the connection that they came on. If that connection is lost
before the turn begins, hived delivers them again, so they are dropped here; if it is
lost later, the turn continues and nobody needs its end (``turn_report``). A turn that
fails returns its messages to the inbox, so the next one waits (``rest``).
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from pyglue.api.agent import RECV, TURN_START, WHOAMI, CancelTurnParams
from pyglue.api.common import AgentState, Done, NoParams
from pyglue.api.messages import Message, RecvParams
from pyglue.api.turn_events import Log
from pyglue.api.turns import TurnEndParams, TurnEndResult, TurnStartParams
from pyglue.errors import ErrorCode, HiveError
from pyglue.harness.claude.events import sentence
from pyglue.harness.claude.notes import SAVE, Notes
from pyglue.harness.claude.outcome import GIVEN_BACK, STATE_REFUSED, Suspect
from pyglue.harness.claude.prompt import render
from pyglue.harness.claude.session import Session
from pyglue.harness.claude.turn import Cancellation, TurnMetrics
from pyglue.harness.control import Control
from pyglue.harness.exposed import Exposed
from pyglue.harness.joined import Joined
from pyglue.harness.link.link import Link
from pyglue.harness.rest import Rest
from pyglue.harness.steering import Steering
from pyglue.harness.turn_report import report_end
from pyglue.jsonrpc import Connection

_WAIT_S: Final = 180.0
_MOST: Final = 32
_SLACK_S: Final = 30.0
_CALL_S: Final = 30.0

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Loop:
    """Receives messages and runs turns, one at a time."""

    link: Link
    session: Session
    notes: Notes
    control: Control
    joined: Joined
    steering: Steering
    exposed: Exposed
    rest: Rest
    model: str
    """The manifest's; hived may name another when a turn begins."""
    _running: Cancellation | None = field(default=None, init=False)
    _quiet: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _cooling: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._quiet.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self.rest.until_ready()
            if self.control.take_begin():
                self.session.begin_fresh("An operator asked for a new one.")
            if self.session.is_long:
                await self._compact()
                continue
            self.link.say(AgentState.IDLE)
            got = await self._next_messages()
            if got is not None:
                await self._work(*got)
            elif self.control.take_compact():
                await self._compact()

    async def cancel(self, params: CancelTurnParams) -> Done:
        """Interrupt the running turn, if there is one; hived's method."""
        if self._running is not None:
            self._running.cancel(params.reason)
        return Done()

    def cool(self, _params: NoParams) -> None:
        """End a CLI kept for the next turn; hived's notification."""
        task = asyncio.create_task(self.session.warm.cool())
        self._cooling.add(task)
        task.add_done_callback(self._cooling.discard)

    async def finish(self, seconds: float) -> None:
        """Interrupt the running turn, if any, and wait until it is reported."""
        if self._running is not None:
            self._running.cancel("The agent is being stopped.")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._quiet.wait()

    # --- waiting ----------------------------------------------------------------------

    async def _next_messages(self) -> tuple[Connection, tuple[Message, ...]] | None:
        """Return messages with the connection that leased them; None: a request came.

        Messages that arrive at the same moment are queued again by the next recv.
        """
        messages = asyncio.create_task(self._receive())
        changed = asyncio.create_task(self.control.changed())
        try:
            await asyncio.wait({messages, changed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (messages, changed):
                task.cancel()
            await asyncio.wait({messages, changed})
        return None if messages.cancelled() else messages.result()

    async def _receive(self) -> tuple[Connection, tuple[Message, ...]]:
        """Wait for messages; hived delivers a suspect message alone."""
        params = RecvParams(wait_seconds=_WAIT_S, max=_MOST, had=())
        failures = self.rest.failures
        while True:
            connection = await self.link.connection()
            try:
                got = await connection.call(RECV, params, timeout=_WAIT_S + _SLACK_S)
            except HiveError as error:
                _log.info("could not receive messages: %s", error.message)
                if error.code is not ErrorCode.UNAVAILABLE:
                    state = STATE_REFUSED.get(error.code, AgentState.RETRYING)
                    await self.rest.pause(state, error.message)
                    self.link.say(AgentState.IDLE)  # this may be a long wait
                continue
            self.rest.failures = failures  # whatever prevented it is over
            if got.messages:
                return connection, got.messages

    # --- turns ------------------------------------------------------------------------

    async def _work(
        self, connection: Connection, messages: tuple[Message, ...]
    ) -> None:
        self.control.look()
        seen = tuple(message.id for message in messages)
        try:
            metrics, end = await self._turn(connection, render(messages), seen)
        except HiveError as error:
            await self._refused(connection, error)
            return
        await self.rest.after(metrics, end)
        if self.control.hold is None:
            await self._tidy()

    async def _turn(
        self, connection: Connection, prompt: str, seen: tuple[int, ...]
    ) -> tuple[TurnMetrics, TurnEndResult]:
        """Run a turn on the connection that holds its messages.

        Raises:
            HiveError: the turn may not begin.
        """
        cancellation = self._running = Cancellation()  # may be cancelled at once
        try:
            await self.exposed.refresh(connection)
            warm = self.session.warm_bytes > 0
            self.steering.begin()
            params = TurnStartParams(messages=seen, warm=warm)
            started = await connection.call(TURN_START, params, timeout=_CALL_S)
            model = self.model = started.model
            self._quiet.clear()
            self.link.warm(0, known=True)
            self.link.begin_turn(started.turn, connection)
            self.link.say(AgentState.THINKING)
            _log.info("turn %d begins with %s", started.turn, model)
            metrics = await self.session.turn(
                prompt,
                model=model,
                budget_usd=started.budget_usd,
                context_window=started.context_window,
                cancellation=cancellation,
            )
            self._running = None
            outcome = metrics.ended.outcome.value
            _log.info("turn %d ended: %s", started.turn, outcome)
            end = await self._end(connection, started.turn, metrics)
            if end.keep_warm:
                self.link.warm(self.session.warm_bytes, known=True)
            else:
                await self.session.warm.cool()
            return metrics, end
        finally:
            self._running = None
            self.link.end_turn()
            self._quiet.set()

    async def _ask_model(self, connection: Connection) -> str:
        """Return the model that hived allows from now on."""
        me = await connection.call(WHOAMI, NoParams(), timeout=_CALL_S)
        self.model = me.model or self.model
        return self.model

    async def _refused(self, connection: Connection, error: HiveError) -> None:
        _log.warning("the turn was refused: %s", error.message)
        if error.code not in GIVEN_BACK:
            connection.close()  # returns the messages, whatever refused the turn
        if error.code is not ErrorCode.UNAVAILABLE and self.control.hold is None:
            state = STATE_REFUSED.get(error.code, AgentState.RETRYING)
            await self.rest.pause(state, error.message, _retry_after(error))

    async def _end(
        self, connection: Connection, turn: int, metrics: TurnMetrics
    ) -> TurnEndResult:
        ended = metrics.ended
        params = TurnEndParams(
            turn=turn,
            outcome=ended.outcome,
            reason=ended.reason,
            duration_ms=ended.duration_ms,
            steps=ended.steps,
            tool_calls=metrics.tool_calls,
            denials=ended.denials,
            input_tokens=ended.input_tokens,
            output_tokens=ended.output_tokens,
            cost_usd=metrics.cost_usd,
            blames_messages=ended.verdict.suspect is Suspect.MESSAGES,
            budget_used=ended.verdict.budget_used,
            warm_bytes=self.session.warm_bytes,
            heard=self.joined.heard,
        )
        return await report_end(
            connection, params, link=self.link, pauses=self.rest.pauses
        )

    # --- keeping short ----------------------------------------------------------------

    async def _tidy(self) -> None:
        """Shorten the notes if they are too long."""
        if not self.notes.are_long():
            return
        self.link.say(AgentState.COMPACTING, "Shortening the notes.")
        with self._busy() as cancellation:
            model = await self._model_outside_turns()
            done = await self.notes.shorten(model=model, cancellation=cancellation)
        self._log(done)

    async def _compact(self) -> None:
        """Let the agent save its notes, then compact the session."""
        if self.notes.can_be_written and self.session.has_begun:
            try:
                await self._turn(await self.link.connection(), SAVE, ())
            except HiveError as error:
                _log.info("could not save the notes first: %s", error.message)
        if self.control.hold is not None:
            return
        with self._busy() as cancellation:
            model = await self._model_outside_turns()
            self._log(await self.session.compact(model, cancellation))

    async def _model_outside_turns(self) -> str:
        """Ask for the current model: the operator may have switched it."""
        try:
            return await self._ask_model(await self.link.connection())
        except HiveError as error:
            _log.info("the model may have changed: %s", error.message)
            return self.model

    @contextlib.contextmanager
    def _busy(self) -> Iterator[Cancellation]:
        """Mark work outside a turn, which can be cancelled like a turn."""
        self._running = cancellation = Cancellation()
        self._quiet.clear()
        try:
            yield cancellation
        finally:
            self._running = None
            self._quiet.set()

    def _log(self, text: str | None) -> None:
        if text is not None:
            self.link.emit(Log(text=sentence(text)))


def _retry_after(error: HiveError) -> float:
    wait = error.details.get("retry_after_s")
    return float(wait) if isinstance(wait, int | float) else 0.0
