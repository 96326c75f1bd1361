"""The harness's loop: wait for messages, run one turn with them, report, repeat.

Mail is leased to the connection that it came on. If that connection is lost before
the turn begins, hived has the mail back and will hand it out again, so it is dropped
here; if it is lost later, the turn runs on and its end is simply not wanted. The end
of a turn is reported until hived has recorded it or the connection is lost. A turn
that did not end well gives its mail back, so the next one waits: a growing while, or
as long as the model's side asked for, or until the operator says so (``control``).
"""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Iterator
from typing import Final

from pyglue import wall_clock
from pyglue.api.agent import RECV, TURN_END, TURN_START, WHOAMI, CancelTurnParams
from pyglue.api.common import AgentState, Done, NoParams
from pyglue.api.messages import Message, RecvParams
from pyglue.api.turn_events import Log
from pyglue.api.turns import (
    TurnEndParams,
    TurnEndResult,
    TurnOutcome,
    TurnStartParams,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.harness.claude.events import sentence
from pyglue.harness.claude.notes import SAVE, Notes
from pyglue.harness.claude.outcome import (
    AUTH_TRIES,
    GIVEN_BACK,
    STATE_REFUSED,
    Pauses,
    Suspect,
    state_after,
)
from pyglue.harness.claude.prompt import render
from pyglue.harness.claude.session import Session, TurnMetrics
from pyglue.harness.claude.turn import Cancellation
from pyglue.harness.control import Control, Hold
from pyglue.harness.exposed import Exposed
from pyglue.harness.joined import Joined
from pyglue.harness.link.link import Link
from pyglue.harness.space import Space
from pyglue.harness.steering import Steering
from pyglue.jsonrpc import Connection

_WAIT_S: Final = 180.0
_MOST: Final = 32
_SLACK_S: Final = 30.0
_CALL_S: Final = 30.0
_LOOK_S: Final = 15.0
"""How often it is looked whether a full disk has room again."""
_REPORT_S: Final = 30.0
"""The longest pause between two reports of a turn's end."""
_WELL: Final = (TurnOutcome.OK, TurnOutcome.COMPACTED)

_log = logging.getLogger(__name__)


_PASSING: Final = frozenset(
    {
        *(ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT, ErrorCode.DISK_FULL),
        *(ErrorCode.INTERNAL, ErrorCode.TOO_MANY, ErrorCode.RATE_LIMITED),
    }
)
"""Refusals of a turn's end that may pass: it is reported again."""


class Loop:
    """Takes mail and runs turns, one at a time."""

    def __init__(
        self,
        link: Link,
        session: Session,
        notes: Notes,
        control: Control,
        joined: Joined,
        steering: Steering,
        *,
        space: Space,
        exposed: Exposed,
        model: str,
        pauses: Pauses,
    ) -> None:
        """``model`` is the manifest's; hived may say another when a turn begins."""
        self._link = link
        self._session = session
        self._notes = notes
        self._control = control
        self._joined = joined
        self._steering = steering
        self._space = space
        self._exposed = exposed
        self._model = model
        self._pauses = pauses
        self._failures = 0
        self._auth_failures = 0
        self._login: Hold | None = None
        self._running: Cancellation | None = None
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._cooling: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._may_work()
            if self._control.take_begin():
                self._session.begin_fresh("An operator asked for a new one.")
            if self._session.is_long:
                await self._compact()
                continue
            self._link.say(AgentState.IDLE)
            got = await self._next_mail()
            if got is not None:
                await self._work(*got)
            elif self._control.take_compact():
                await self._compact()

    async def cancel(self, params: CancelTurnParams) -> Done:
        """Interrupt the running turn, if there is one; hived's method."""
        if self._running is not None:
            self._running.cancel(params.reason)
        return Done()

    def cool(self, _params: NoParams) -> None:
        """Let no CLI wait for the next turn; hived's notification."""
        task = asyncio.create_task(self._session.cool())
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

    async def _may_work(self) -> None:
        """Wait while paused, over budget, without a login or on a full disk."""
        told_full = False
        while True:
            self._control.look()
            if self._control.take_again():
                self._login, self._failures, self._auth_failures = None, 0, 0
            hold = self._control.hold or self._login
            if hold is not None:
                await self._session.cool()
                self._link.say(*hold)
                told_full = False
                await self._control.changed()
                continue
            full = self._space.problem()
            if full is None:
                return
            if not told_full:
                self._link.say(AgentState.DISK_FULL, full)
                self._log(full)
                told_full = True
            await self._wish_within(min(_LOOK_S, self._pauses.longest_s))

    async def _next_mail(self) -> tuple[Connection, tuple[Message, ...]] | None:
        """Return mail with the connection that leased it; None if a wish came first.

        What arrives just then waits again from the next question for mail on.
        """
        mail = asyncio.create_task(self._mail())
        wish = asyncio.create_task(self._control.changed())
        try:
            await asyncio.wait({mail, wish}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (mail, wish):
                task.cancel()
            await asyncio.wait({mail, wish})
        return None if mail.cancelled() else mail.result()

    async def _mail(self) -> tuple[Connection, tuple[Message, ...]]:
        """Wait for mail; hived gives alone what must not take others with it."""
        params = RecvParams(wait_seconds=_WAIT_S, max=_MOST, had=())
        failures = self._failures
        while True:
            connection = await self._link.connection()
            try:
                got = await connection.call(RECV, params, timeout=_WAIT_S + _SLACK_S)
            except HiveError as error:
                _log.info("could not receive messages: %s", error.message)
                if error.code is not ErrorCode.UNAVAILABLE:
                    state = STATE_REFUSED.get(error.code, AgentState.RETRYING)
                    await self._pause(state, error.message)
                    self._link.say(AgentState.IDLE)  # this may be a long wait
                continue
            self._failures = failures  # what kept it from asking is over
            if got.messages:
                return connection, got.messages

    async def _pause(
        self, state: AgentState, detail: str | None, at_least: float = 0.0
    ) -> None:
        """Wait after a failure, unless something is wanted sooner."""
        self._failures += 1
        seconds = max(self._pauses.after(self._failures), at_least)
        _log.info("waiting %.1f s: %s", seconds, detail)
        detail = f"Next try in {seconds:.0f} s. {detail or ''}".strip()
        self._link.say(state, sentence(detail))
        await self._wish_within(seconds)

    async def _wish_within(self, seconds: float) -> None:
        """Wait for as long, or until something is wanted."""
        await wall_clock.elapse(seconds, self._control.changed)

    # --- turns ------------------------------------------------------------------------

    async def _work(
        self, connection: Connection, messages: tuple[Message, ...]
    ) -> None:
        self._control.look()
        seen = tuple(message.id for message in messages)
        try:
            metrics, told = await self._turn(connection, render(messages), seen)
        except HiveError as error:
            await self._refused(connection, error)
            return
        await self._rest(metrics, told)
        if self._control.hold is None:
            await self._tidy()

    async def _turn(
        self, connection: Connection, prompt: str, seen: tuple[int, ...]
    ) -> tuple[TurnMetrics, TurnEndResult]:
        """Run a turn on the connection that holds its mail.

        Raises:
            HiveError: the turn may not begin.
        """
        cancellation = self._running = Cancellation()  # may be asked at once
        try:
            await self._exposed.refresh(connection)
            warm = self._session.warm_bytes > 0
            self._steering.begin()
            params = TurnStartParams(messages=seen, warm=warm)
            started = await connection.call(TURN_START, params, timeout=_CALL_S)
            model = self._model = started.model
            self._quiet.clear()
            self._link.warm(0, known=True)
            self._link.begin_turn(started.turn, connection)
            self._link.say(AgentState.THINKING)
            _log.info("turn %d begins with %s", started.turn, model)
            metrics = await self._session.turn(
                prompt,
                model=model,
                budget_usd=started.budget_usd,
                context_window=started.context_window,
                cancellation=cancellation,
            )
            self._running = None
            outcome = metrics.ended.outcome.value
            _log.info("turn %d ended: %s", started.turn, outcome)
            told = await self._end(connection, started.turn, metrics)
            if told.keep_warm:
                self._link.warm(self._session.warm_bytes, known=True)
            else:
                await self._session.cool()
            return metrics, told
        finally:
            self._running = None
            self._link.end_turn()
            self._quiet.set()

    async def _ask_model(self, connection: Connection) -> str:
        """Return the model that hived lets us use from now on."""
        me = await connection.call(WHOAMI, NoParams(), timeout=_CALL_S)
        self._model = me.model or self._model
        return self._model

    async def _refused(self, connection: Connection, error: HiveError) -> None:
        _log.warning("the turn was refused: %s", error.message)
        if error.code not in GIVEN_BACK:
            connection.close()  # gives the mail back, whatever refused the turn
        if error.code is not ErrorCode.UNAVAILABLE and self._control.hold is None:
            state = STATE_REFUSED.get(error.code, AgentState.RETRYING)
            await self._pause(state, error.message, _retry_after(error))

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
            blames_mail=ended.verdict.suspect is Suspect.MAIL,
            budget_used=ended.verdict.budget_used,
            warm_bytes=self._session.warm_bytes,
            heard=self._joined.heard,
        )
        for tries in itertools.count(1):
            try:
                return await connection.call(TURN_END, params, timeout=_CALL_S)
            except HiveError as error:
                _log.warning("the end of turn %d was refused: %s", turn, error.message)
                if error.code not in _PASSING:
                    connection.close()  # hived takes a turn that it refuses as lost
                if connection.closed:
                    break
                self._link.say(AgentState.RETRYING, error.message)
            # Its messages are held until hived knows that it is over.
            with contextlib.suppress(TimeoutError):
                seconds = min(self._pauses.after(tries), _REPORT_S)
                async with asyncio.timeout(seconds):
                    await connection.wait_closed()
        return TurnEndResult()

    async def _rest(self, metrics: TurnMetrics, told: TurnEndResult) -> None:
        """Go on at once after a good turn, after a growing pause otherwise.

        Also after a cancelled one: who cancelled it mostly stops the agent next.
        """
        ended = metrics.ended
        if ended.outcome in (*_WELL, TurnOutcome.CANCELLED):
            self._failures = self._auth_failures = 0
        if ended.outcome in _WELL or self._control.hold is not None:
            return
        if ended.outcome is TurnOutcome.AUTH:
            self._auth_failures += 1
            if self._auth_failures >= AUTH_TRIES:
                self._login = AgentState.NEEDS_LOGIN, ended.reason or ""
                return
        state, why, wait = state_after(ended.verdict), ended.reason, 0.0
        if ended.outcome is TurnOutcome.RATE_LIMITED:
            wait = told.retry_after_s or metrics.retry_after_s
        if state is AgentState.NO_CREDIT:
            why = f"The provider's credit is used up. The provider says: {why}"
        await self._pause(state, why, wait)

    # --- keeping short ----------------------------------------------------------------

    async def _tidy(self) -> None:
        """Shorten the notes when they have grown too long."""
        if not self._notes.are_long():
            return
        self._link.say(AgentState.COMPACTING, "Shortening the notes.")
        with self._busy() as cancellation:
            model = await self._model_outside_turns()
            done = await self._notes.shorten(model=model, cancellation=cancellation)
        self._log(done)

    async def _compact(self) -> None:
        """Let the agent save what it must not forget, then shorten the session."""
        if self._notes.can_be_written and self._session.has_begun:
            try:
                await self._turn(await self._link.connection(), SAVE, ())
            except HiveError as error:
                _log.info("could not save the notes first: %s", error.message)
        if self._control.hold is not None:
            return
        with self._busy() as cancellation:
            model = await self._model_outside_turns()
            self._log(await self._session.compact(model, cancellation))

    async def _model_outside_turns(self) -> str:
        """Ask which model holds now: the operator may have chosen another since."""
        try:
            return await self._ask_model(await self._link.connection())
        except HiveError as error:
            _log.info("the model may have changed: %s", error.message)
            return self._model

    @contextlib.contextmanager
    def _busy(self) -> Iterator[Cancellation]:
        """Be at work that is no turn, and can be cancelled like one."""
        self._running = cancellation = Cancellation()
        self._quiet.clear()
        try:
            yield cancellation
        finally:
            self._running = None
            self._quiet.set()

    def _log(self, text: str | None) -> None:
        if text is not None:
            self._link.emit(Log(text=sentence(text)))


def _retry_after(error: HiveError) -> float:
    told = error.details.get("retry_after_s")
    return float(told) if isinstance(told, int | float) else 0.0
