"""Every change of an agent's present, by name: the only module that writes ``agent``.

One call changes memory and store and emits the event. There are two kinds:

- What the store may refuse (a turn, a deploy) is committed first. Memory follows with
  the commit, before its events are published, also if the caller has given up.
- Everything else (a pause, a problem, a lost harness) holds in memory at once. The
  write that is queued with it is made again until it is stored, and stores what memory
  says *when it runs*: one that had to wait for the disk brings no older value back.

What is only observed (how the provider answered, ``recv``, message hops) is kept in
memory alone. After each change listeners hear of it, and an agent that gets no message
any more waits for none.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, TypeVar

from pyglue.api.common import AgentState
from pyglue.api.events import AgentChange, AgentChanged, AgentStateChanged
from pyglue.api.turns import TurnEndParams
from pyglue.display import said
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.agent import HIVE, Agent, Parked, Report
from pyglue.host.core.registry import Registry
from pyglue.jsonrpc import Connection
from pyglue.manifest import PinnedRecord
from pyglue.store import agents as rows
from pyglue.store import control as control_rows
from pyglue.store import leases
from pyglue.store.control import Control
from pyglue.store.database import Store, Tx
from pyglue.store.failures import StoreError

T = TypeVar("T")

_REPORTED: Final = frozenset(
    {
        AgentState.IDLE,
        AgentState.THINKING,
        AgentState.COMPACTING,
        AgentState.RATE_LIMITED,
        AgentState.NEEDS_LOGIN,
        AgentState.PAUSED,
        AgentState.OVER_BUDGET,
        AgentState.NO_CREDIT,
        AgentState.DISK_FULL,
        AgentState.RETRYING,
    }
)
"""States that a harness may report; the others are the host's own."""
_LATE_S: Final = 1.0


@dataclass(kw_only=True)
class Transitions:
    """Changes the agents of ``registry`` and their rows in ``store``."""

    store: Store
    registry: Registry
    _listeners: list[Callable[[Agent], None]] = field(default_factory=list, init=False)
    _over: dict[Agent, asyncio.Event] = field(default_factory=dict, init=False)

    def listen(self, listener: Callable[[Agent], None]) -> None:
        """Call ``listener`` with each agent that changed; it must not block."""
        self._listeners.append(listener)

    async def load(self) -> None:
        """Read agents, what the operator wants of them, and their newest models."""
        for row in await self.store.read(rows.all_agents):
            self.registry.take(row)
        found = await self.store.read(control_rows.all_rows)
        used = await self.store.read(rows.last_models)
        everyone = self.registry.everyone
        hive = found.get(HIVE, everyone.control)
        _become(everyone, replace(everyone, control=hive))
        for agent in self.registry.all():
            control = found.get(agent.name, agent.control)
            model = used.get(agent.name)
            self._set(agent, replace(agent, control=control, turn_model=model))

    # --- what should run, and what is deployed ----------------------------------------

    def wanted(self, agent: Agent, wanted: bool) -> Awaitable[None]:
        """It should run from now on, or should not."""
        self._set(agent, replace(agent, wanted=wanted))
        return _in_effect(
            self.store.write(
                lambda tx: rows.set_wanted(tx, agent.name, agent.wanted), keep=True
            )
        )

    def problem_noted(self, agent: Agent, problem: str | None) -> Awaitable[None]:
        """Something went wrong, or with None: all is well again."""
        self._set(agent, replace(agent, problem=problem))
        return _in_effect(
            self.store.write(
                lambda tx: rows.set_problem(tx, agent.name, agent.problem), keep=True
            )
        )

    def deployed(
        self,
        agent: Agent,
        record: PinnedRecord,
        *,
        approval: int,
        commit: str,
        wanted: bool,
        also: Callable[[Tx], None],
    ) -> Awaitable[None]:
        """``record`` runs from now on; ``also`` is written in the same transaction."""
        self._set(agent, replace(agent, wanted=wanted, problem=None))
        encoded = record.encode()

        def write(tx: Tx) -> None:
            also(tx)
            rows.set_deployed(
                tx,
                agent.name,
                approval=approval,
                commit=commit,
                record=encoded,
                wanted=agent.wanted,
                problem=agent.problem,
            )

        def follow(_: None) -> None:
            now = replace(agent, record=record, approval=approval, commit=commit)
            self._set(agent, now)

        written = self.store.write(write, then=follow)
        written.add_done_callback(lambda done: self._unless_deployed(agent, done))
        return written

    def _unless_deployed(self, agent: Agent, done: "asyncio.Future[None]") -> None:
        """Store alone what holds of a deploy that could not be stored."""
        if done.cancelled() or done.exception() is not None:
            self.store.post(
                lambda tx: rows.set_present(
                    tx, agent.name, wanted=agent.wanted, problem=agent.problem
                )
            )

    def store_again(self, agent: Agent) -> Awaitable[None]:
        """Write what is wanted of it, and its problem: the store says otherwise."""

        def write(tx: Tx) -> None:
            rows.set_present(tx, agent.name, wanted=agent.wanted, problem=agent.problem)
            control_rows.put(tx, agent.control)

        return self.store.write(write)

    # --- container and harness --------------------------------------------------------

    def starting(
        self, agent: Agent, record: PinnedRecord, detail: str | None = None
    ) -> None:
        """A container runs it under ``record``; its harness has to say hello."""
        self._set(agent, replace(agent, applied=record))
        self._state(agent, AgentState.STARTING, detail)

    def harness_connected(
        self, agent: Agent, connection: Connection, problem: str | None
    ) -> None:
        """Its harness said hello; what another one had begun is lost."""
        self.turn_lost(agent)
        now = replace(agent, harness=connection, harness_at=time.time(), warm=0)
        self._set(agent, now)
        state = AgentState.IDLE if problem is None else AgentState.FAILED
        self._state(agent, state, problem)

    def harness_lost(self, agent: Agent) -> None:
        """Its harness is gone, and its turn with it, if one ran."""
        self._set(agent, replace(agent, harness=None, warm=0))
        self.turn_lost(agent)

    def harness_expected(self, agent: Agent, why: str) -> None:
        """Its container runs on, so its harness should come back."""
        self._state(agent, AgentState.STARTING, why)

    def stopping(self, agent: Agent) -> None:
        """Its container is being stopped."""
        self._state(agent, AgentState.STOPPING)

    def stopped(self, agent: Agent, why: str | None = None) -> None:
        """Its container does not run."""
        self._state(agent, AgentState.STOPPED, why)

    def failed(self, agent: Agent, why: str) -> None:
        """It did not start."""
        self._state(agent, AgentState.FAILED, why)

    def crashed(self, agent: Agent, why: str, problem: str) -> None:
        """Its container ended by itself."""
        self._state(agent, AgentState.FAILED, why)
        self._set(agent, replace(agent, problem=problem))

        def write(tx: Tx) -> None:
            rows.set_problem(tx, agent.name, agent.problem)
            leases.explain(tx, agent.name, why)

        self.store.post(write)

    def state_reported(self, agent: Agent, report: Report) -> None:
        """Its harness says what it does; the host's own states it cannot claim.

        Nor that it is paused or over its budget where hived does not know of it, and
        why it is has hived's words; all others are quoted. Of states that come too
        fast the newest is published, a little later.
        """
        state, detail = report.state, report.detail
        if state not in _REPORTED or agent.harness is None:
            return
        shown = None if detail is None else said(detail)
        if state is AgentState.PAUSED:
            shown = self.registry.paused(agent)
            if shown is None:
                return
        if state is AgentState.OVER_BUDGET and agent.over_budget is None:
            state = AgentState.RETRYING
        elif state is AgentState.OVER_BUDGET:
            shown = agent.over_budget
        if agent.reports.take(1, time.monotonic()):
            self._state(agent, state, shown, report.since)
            return
        if agent.late is None:
            loop = asyncio.get_running_loop()
            loop.call_later(_LATE_S, self._report_late, agent)
        _become(agent, replace(agent, late=report))

    def _report_late(self, agent: Agent) -> None:
        late = agent.late
        if late is not None:
            _become(agent, replace(agent, late=None))
            self.state_reported(agent, late)

    # --- turns ------------------------------------------------------------------------

    def turn_began(
        self,
        agent: Agent,
        model: str,
        *,
        check: Callable[[Tx], object],
        also: Callable[[Tx, int], None],
    ) -> Awaitable[int]:
        """Begin a turn with ``model`` unless ``check`` refuses; return its id.

        ``also`` is written in the same transaction. A turn of a harness that is gone
        by the time it has begun is lost at once.
        """
        harness = agent.harness

        def begin(tx: Tx) -> int:
            check(tx)
            turn = rows.start_turn(tx, agent.name, model)
            also(tx, turn)
            return turn

        def follow(turn: int) -> None:
            if agent.harness is harness:
                self._turn(agent, replace(agent, turn=turn, turn_model=model))
            else:
                self._lose(agent, turn)

        return self.store.write(begin, then=follow)

    def turn_ended(
        self, agent: Agent, end: TurnEndParams, also: Callable[[Tx], None]
    ) -> Awaitable[None]:
        """End a turn as its harness says; ``also`` is written with it.

        Raises:
            HiveError: ``conflict`` if it is not this agent's running turn.
        """

        def write(tx: Tx) -> None:
            if not rows.end_turn(tx, agent.name, end):
                raise HiveError(
                    ErrorCode.CONFLICT,
                    f"Turn {end.turn} is not running; its messages are already queued "
                    "again.",
                )
            also(tx)

        def follow(_: None) -> None:
            if agent.turn == end.turn:
                self._turn(agent, replace(agent, turn=None, hop=0))

        return self.store.write(write, then=follow)

    def turn_lost(self, agent: Agent) -> None:
        """Nobody is there any more to end its turn, if one ran."""
        turn = agent.turn
        if turn is not None:
            self._lose(agent, turn)
        self._turn(agent, replace(agent, turn=None, hop=0))

    async def turn_over(self, agent: Agent) -> None:
        """Return when the turn that runs now has ended."""
        turn = agent.turn
        while turn is not None and agent.turn == turn:
            await self._over.setdefault(agent, asyncio.Event()).wait()

    def _turn(self, agent: Agent, now: Agent) -> None:
        self._set(agent, now)
        over = self._over.pop(agent, None)
        if over is not None:
            over.set()

    def _lose(self, agent: Agent, turn: int) -> None:
        self.store.post(partial(rows.lose_turns, agent=agent.name, turn=turn))

    def warmed(self, agent: Agent, held: int) -> None:
        """A CLI of ``held`` bytes waits for its next turn; 0: none does."""
        cold = agent.warm > 0 and held == 0 and agent.turn is None
        _become(agent, replace(agent, warm=held, warm_at=time.monotonic()))
        if cold:
            self._emit(agent, AgentChange.COLD)

    # --- messages ---------------------------------------------------------------------

    def recv_parked(self, agent: Agent, parked: Parked) -> None:
        """It waits for the next message."""
        self._set(agent, replace(agent, parked=parked))

    def recv_claimed(self, agent: Agent) -> Parked | None:
        """A message comes that ends its wait; return what waited, if anything did."""
        parked = agent.parked
        if parked is not None:
            _become(agent, replace(agent, parked=None))
        return parked

    def recv_interrupted(self, agent: Agent) -> None:
        """It need not wait any longer, and gets nothing."""
        parked = self.recv_claimed(agent)
        if parked is not None:
            parked.end()

    def recv_over(self, parked: Parked) -> None:
        """``parked`` waits no longer, if it still did."""
        agent = parked.holder.agent
        if agent.parked is parked:
            _become(agent, replace(agent, parked=None))

    def messages_taken(self, agent: Agent, hop: int) -> None:
        """It was handed messages: what it sends now comes after them."""
        _become(agent, replace(agent, hop=max(agent.hop, hop)))

    def messages_done(self, agent: Agent) -> None:
        """It acknowledged what it was handed outside a turn."""
        if agent.turn is None:
            _become(agent, replace(agent, hop=0))

    # --- what the operator wants ------------------------------------------------------

    def controlled(self, agent: Agent, row: Control) -> Awaitable[None]:
        """The operator wants something else of it: a pause, a model, more budget."""
        self._set(agent, replace(agent, control=row))
        return self.store.write(
            lambda tx: control_rows.put(tx, agent.control), keep=True
        )

    def hive_controlled(self, row: Control) -> Awaitable[None]:
        """The operator wants something else of the whole hive."""
        everyone = self.registry.everyone
        _become(everyone, replace(everyone, control=row))
        self._all()
        return self.store.write(
            lambda tx: control_rows.put(tx, everyone.control), keep=True
        )

    def cut_off(self, agent: Agent) -> None:
        """A running turn of a paused agent gets no more time."""
        self._set(agent, replace(agent, cut_off=True))

    # --- what holds it back -----------------------------------------------------------

    def held(self, agent: Agent, why: str | None) -> None:
        """Its files are too large or too many, or with None are not any more."""
        if why != agent.held:
            self._set(agent, replace(agent, held=why))
            self._emit(agent, AgentChange.HELD)

    def disk_full(self, why: str | None) -> None:
        """All agents are on hold for want of free space, or with None go on."""
        everyone = self.registry.everyone
        _become(everyone, replace(everyone, disk_full=why))
        self._all()

    def budget_reached(self, agent: Agent, why: str, until: float) -> None:
        """No turn begins until a budget allows it again, at the latest ``until``."""
        self._set(agent, replace(agent, over_budget=why, budget_until=until))
        self._emit(agent, AgentChange.BUDGET)

    def budget_free(self, agent: Agent) -> None:
        """A budget allows turns again."""
        self._set(
            agent, replace(agent, over_budget=None, budget_until=None, refused=None)
        )
        self._emit(agent, AgentChange.BUDGET)

    def request_judged(self, agent: Agent, refused: str | None) -> None:
        """Its newest request to the model was allowed, or refused by a daily limit."""
        _become(agent, replace(agent, refused=refused))

    def provider_answered(
        self, agent: Agent, status: int, retry_at: float | None
    ) -> None:
        """The provider answered a request, and may have asked us to back off."""
        retry_at = agent.retry_at if retry_at is None else retry_at
        _become(agent, replace(agent, provider_status=status, retry_at=retry_at))

    def back_off(self, agent: Agent, retry_at: float) -> None:
        """Another agent was told that what pays for both is used up until then."""
        _become(agent, replace(agent, retry_at=retry_at))

    def retry_now(self, agent: Agent) -> None:
        """It need not wait for the provider any longer."""
        _become(agent, replace(agent, retry_at=None))

    # --- writing ----------------------------------------------------------------------

    def _state(
        self,
        agent: Agent,
        state: AgentState,
        detail: str | None = None,
        since: float | None = None,
    ) -> None:
        """``since`` None is now, if it is another state than before."""
        same = (agent.state, agent.detail) == (state, detail) and since is None
        at = now = time.time()
        if since is not None:
            at = max(min(since, now), agent.harness_at)
        elif agent.state is state:
            at = agent.since
        changed = replace(agent, state=state, detail=detail, since=at, late=None)
        self._set(agent, changed)
        if not same:
            event = AgentStateChanged(state=state.value, since_at=at, detail=detail)
            self.store.emit(agent.name, event)

    def _emit(self, agent: Agent, what: AgentChange) -> None:
        event = AgentChanged(what=what)
        self.store.emit(agent.name, event)

    def _set(self, agent: Agent, now: Agent) -> None:
        _become(agent, now)
        if agent.cut_off and self.registry.paused(agent) is None:
            _become(agent, replace(agent, cut_off=False))
        if agent.parked is not None and self.registry.halted(agent) is not None:
            agent.parked.end()
            _become(agent, replace(agent, parked=None))
        for listener in self._listeners:
            listener(agent)

    def _all(self) -> None:
        for agent in self.registry.all():
            self._set(agent, agent)


def _in_effect(written: "asyncio.Future[None]") -> "asyncio.Future[None]":
    """Wait until it is stored, or is going to be: what it says holds already."""

    async def wait() -> None:
        with contextlib.suppress(StoreError):
            await written

    return asyncio.ensure_future(wait())


def _become(before: T, now: T) -> None:
    """Write: ``before`` has the values of ``now`` from here on."""
    vars(before).update(vars(now))
