"""Random sequences of transitions: memory, store and events always agree.

The store, the event bus and the registry are real. A small model says what must hold;
callers give up in the middle, harnesses go while their turn begins, writes are refused
and the disk is full for a while.
"""

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from peewee import OperationalError

from checks.kits.api.events import data
from checks.kits.host.store import Kit, open_kit
from checks.kits.manifest.smallest import MANIFEST
from pyglue.api.common import AgentState
from pyglue.api.events import Event
from pyglue.api.messages import Message
from pyglue.api.turns import StateParams, TurnEndParams, TurnOutcome
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.agent import Agent, Parked, Receiver
from pyglue.manifest.record import PinnedRecord
from pyglue.store import agents, control
from pyglue.store.database import Reader, Tx
from pyglue.store.writer import Writer

TEXTS = st.sampled_from(["one", "two"])
MAYBE = st.none() | TEXTS


class Line:
    """A connection, as far as an agent's live state needs one."""


class Machine(RuleBasedStateMachine):
    """One agent, and what must hold of it."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.room = Path(tempfile.mkdtemp())
        self.kit: Kit = self.run(open_kit(self.room))
        self.alice: Agent = self.run(self.kit.agent("alice"))
        self.full = False
        self.began: list[int] = []
        self.seen_late: list[str] = []
        self.kit.bus.listen(self.on_event)
        transact = Writer._transaction

        def transaction(writer: Writer, batch: Any) -> Any:
            if self.full:
                cause = sqlite3.OperationalError("database or disk is full")
                cause.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise OperationalError("database or disk is full") from cause
            return transact(writer, batch)

        writer: Any = self.kit.store._writer
        writer._transaction = lambda batch: transaction(writer, batch)
        # The model.
        self.turn: int | None = None
        self.connected = False
        self.wanted = True
        self.problem: str | None = None
        self.deployed: tuple[int | None, str | None] = (None, None)
        self.paused = False
        self.hive_paused = False
        self.held: str | None = None
        self.disk: str | None = None

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def teardown(self) -> None:
        self.full = False
        self.run(self.kit.store.close())
        self.runner.close()
        shutil.rmtree(self.room)

    def on_event(self, event: Event) -> None:
        """Memory has followed already when an event of a turn is published."""
        alice = self.alice
        told = data(event)
        if event.kind == "turn.ended" and alice.turn == told["turn"]:
            self.seen_late.append("a turn ended, and memory still has it")
        deployed = told.get("approval")
        if deployed is not None and alice.approval != deployed:
            self.seen_late.append("memory does not know what is deployed")

    async def settled(self) -> None:
        """Let everything that is queued happen."""
        for _ in range(3):
            await self.kit.store.write(lambda _tx: None)

    def do(self, *steps: Callable[[], Any]) -> None:
        """Run the steps in one moment of the loop, then let all of it settle."""

        async def work() -> None:
            results = [step() for step in steps]
            futures = [one for one in results if isinstance(one, asyncio.Future)]
            await asyncio.gather(*futures, return_exceptions=True)
            if not self.full:
                await self.settled()

        self.run(work())

    # --- harness and turns ------------------------------------------------------------

    def connect(self) -> None:
        line: Any = Line()
        self.kit.transitions.harness_connected(self.alice, line, None)
        self.connected, self.turn = True, None

    def lose(self) -> None:
        self.kit.transitions.harness_lost(self.alice)
        self.connected, self.turn = False, None

    def begin(self, check: Callable[[Tx], object] = lambda _: None) -> Any:
        return self.kit.transitions.turn_began(
            self.alice,
            "haiku",
            check=check,
            also=lambda _, turn: self.began.append(turn),
        )

    def begun(self) -> None:
        self.turn = self.began[-1]

    @rule()
    def a_harness_connects(self) -> None:
        self.do(self.connect)

    @rule()
    def the_harness_goes(self) -> None:
        self.do(self.lose)

    @precondition(lambda self: not self.full)
    @rule()
    def a_turn_begins(self) -> None:
        self.do(self.begin)
        self.begun()

    @precondition(lambda self: not self.full)
    @rule()
    def a_turn_begins_and_its_caller_gives_up(self) -> None:
        self.do(lambda: self.begin().cancel())
        self.begun()

    @precondition(lambda self: not self.full and self.connected)
    @rule(again=st.booleans())
    def a_turn_begins_as_its_harness_goes(self, again: bool) -> None:
        self.do(lambda: self.begin().cancel(), self.lose)
        if again:
            self.do(self.connect)

    @precondition(lambda self: not self.full and self.connected)
    @rule()
    def a_turn_begins_as_another_harness_comes(self) -> None:
        self.do(self.begin, self.connect)

    @rule()
    def a_turn_is_refused(self) -> None:
        def refuse(_: Tx) -> None:
            raise HiveError(ErrorCode.PAUSED, "No.")

        self.do(lambda: self.begin(refuse))

    def end(self, turn: int) -> Any:
        params = TurnEndParams(turn=turn, outcome=TurnOutcome.OK)
        return self.kit.transitions.turn_ended(self.alice, params, also=lambda _: None)

    @precondition(lambda self: not self.full and self.turn is not None)
    @rule(gives_up=st.booleans(), goes=st.booleans())
    def the_turn_ends(self, gives_up: bool, goes: bool) -> None:
        turn = self.turn or 0
        steps: list[Callable[[], Any]] = [lambda: self.end(turn)]
        if gives_up:
            steps = [lambda: self.end(turn).cancel()]
        if goes:
            steps.append(self.lose)
        self.do(*steps)
        self.turn = None

    @precondition(lambda self: not self.full)
    @rule(turn=st.integers(1, 5))
    def a_turn_that_does_not_run_ends(self, turn: int) -> None:
        if turn != self.turn:
            self.do(lambda: self.end(turn))

    @rule(state=st.sampled_from(list(AgentState)), detail=MAYBE)
    def a_state_is_reported(self, state: AgentState, detail: str | None) -> None:
        report = StateParams(state=state, detail=detail)
        self.do(lambda: self.kit.transitions.state_reported(self.alice, report))

    @rule(name=st.sampled_from(["stopping", "stopped", "failed", "harness_expected"]))
    def a_state_is_set(self, name: str) -> None:
        more = ("why",) if name in ("failed", "harness_expected") else ()
        self.do(lambda: getattr(self.kit.transitions, name)(self.alice, *more))

    # --- what is stored with it -------------------------------------------------------

    @precondition(lambda self: not self.full)
    @rule(wanted=st.booleans())
    def it_should_run(self, wanted: bool) -> None:
        self.do(lambda: self.kit.transitions.wanted(self.alice, wanted))
        self.wanted = wanted

    @precondition(lambda self: not self.full)
    @rule(problem=MAYBE, gives_up=st.booleans())
    def a_problem_is_noted(self, problem: str | None, gives_up: bool) -> None:
        def note() -> Any:
            written: Any = self.kit.transitions.problem_noted(self.alice, problem)
            return written.cancel() if gives_up else written

        self.do(note)
        self.problem = problem

    @rule(problem=TEXTS)
    def it_crashes(self, problem: str) -> None:
        self.do(lambda: self.kit.transitions.crashed(self.alice, "why", problem))
        self.problem = problem

    @precondition(lambda self: not self.full)
    @rule(number=st.integers(1, 3), refused=st.booleans(), crash=st.booleans())
    def it_is_deployed(self, number: int, refused: bool, crash: bool) -> None:
        def also(_: Tx) -> None:
            if refused:
                raise HiveError(ErrorCode.STALE, "No.")

        def deploy() -> Any:
            return self.kit.transitions.deployed(
                self.alice,
                PinnedRecord({**MANIFEST, "description": str(number)}, None),
                approval=number,
                commit=f"{number:040x}",
                wanted=self.wanted,
                also=also,
            )

        def crashes() -> None:
            self.kit.transitions.crashed(self.alice, "why", "one")

        if refused:
            self.do(deploy, lambda: self.kit.transitions.problem_noted(self.alice, "x"))
            self.problem = "x"
            return
        self.do(deploy, *([crashes] if crash else []))
        self.problem = "one" if crash else None
        self.deployed = number, f"{number:040x}"

    # --- what holds it back -----------------------------------------------------------

    @precondition(lambda self: not self.full)
    @rule(paused=st.booleans(), hive=st.booleans())
    def it_is_paused_or_resumed(self, paused: bool, hive: bool) -> None:
        at = 1.0 if paused else None
        by = "ann" if paused else None
        name = "hive" if hive else "alice"
        row = control.Control(agent=name, paused_at=at, paused_by=by)
        transitions = self.kit.transitions
        if hive:
            self.do(lambda: transitions.hive_controlled(row))
            self.hive_paused = paused
        else:
            self.do(lambda: transitions.controlled(self.alice, row))
            self.paused = paused

    @rule(why=MAYBE)
    def it_is_held(self, why: str | None) -> None:
        self.do(lambda: self.kit.transitions.on_hold(self.alice, why))
        self.held = why

    @rule(why=MAYBE)
    def the_disk_fills_up(self, why: str | None) -> None:
        self.do(lambda: self.kit.transitions.disk_full(why))
        self.disk = why

    @rule()
    def it_is_cut_off(self) -> None:
        self.do(lambda: self.kit.transitions.cut_off(self.alice))

    @rule()
    def it_waits_for_a_message(self) -> None:
        async def park() -> None:
            future: asyncio.Future[tuple[Message, ...]]
            future = asyncio.get_running_loop().create_future()
            parked = Parked(Receiver(agent=self.alice), future)
            self.kit.transitions.recv_parked(self.alice, parked)
            assert future.done() is (self.alice.parked is None)

        self.run(park())

    # --- the store --------------------------------------------------------------------

    @precondition(lambda self: not self.full)
    @rule(problem=TEXTS)
    def the_disk_is_full_as_it_crashes(self, problem: str) -> None:
        self.full = True
        self.do(self.lose, lambda: self.kit.store.write(lambda _tx: None))
        self.it_crashes(problem)
        self.do(lambda: self.kit.store.write(lambda _tx: None))

    @precondition(lambda self: self.full)
    @rule(problem=MAYBE, turn=st.booleans())
    def writes_go_well_again(self, problem: str | None, turn: bool) -> None:
        """What waited for space is written after what comes now."""
        self.full = False
        if turn:
            self.a_turn_begins()
        self.do(lambda: self.kit.transitions.problem_noted(self.alice, problem))
        self.problem = problem

    # --- what must hold ---------------------------------------------------------------

    @invariant()
    def memory_is_as_the_model_says(self) -> None:
        alice, registry = self.alice, self.kit.registry
        assert (alice.turn, alice.wanted, alice.problem) == (
            self.turn,
            self.wanted,
            self.problem,
        )
        assert (alice.approval, alice.commit) == self.deployed
        assert (alice.harness is not None) is self.connected
        stopped = self.paused or self.hive_paused or bool(self.held or self.disk)
        assert (registry.paused(alice) is not None) is stopped
        assert stopped or not alice.cut_off
        assert alice.parked is None or registry.halted(alice) is None
        assert not self.seen_late

    @precondition(lambda self: not self.full)
    @invariant()
    def the_store_has_what_memory_has(self) -> None:
        alice = self.alice
        row, rows, open_turns = self.run(self.kit.store.read(_stored))
        assert (row.wanted, row.problem) == (alice.wanted, alice.problem)
        assert (row.approval, row.commit) == (alice.approval, alice.commit)
        if row.record is not None:
            assert alice.record is not None
            assert row.record == alice.record.encode()
        assert rows.get("alice", alice.control) == alice.control
        assert rows.get("hive", self.kit.registry.hive) == self.kit.registry.hive
        assert open_turns == ([] if alice.turn is None else [alice.turn])

    @precondition(lambda self: not self.full)
    @invariant()
    def events_tell_the_same(self) -> None:
        alice, running = self.alice, []
        state: dict[str, Any] | None = None
        for event in self.kit.events:
            if event.kind == "turn.started":
                running.append(data(event)["turn"])
            elif event.kind == "turn.ended":
                running.remove(data(event)["turn"])
            elif event.kind == "agent.state":
                state = data(event)
        assert running == ([] if alice.turn is None else [alice.turn])
        if state is not None:
            assert (state["state"], state["since_at"], state["detail"]) == (
                alice.state.value,
                alice.since,
                alice.detail,
            )


def _stored(reader: Reader) -> tuple[Any, dict[str, control.Control], list[int]]:
    found = reader.execute("SELECT id FROM turn WHERE ended_at IS NULL").fetchall()
    return (
        agents.all_agents(reader)[0],
        control.all_rows(reader),
        [int(turn) for (turn,) in found],
    )


Machine.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestTransitions = Machine.TestCase


@pytest.mark.parametrize("turn", [False, True])
def test_a_write_that_waited_for_space_brings_no_older_value_back(turn: bool) -> None:
    machine = Machine()
    machine.a_harness_connects()
    machine.a_turn_begins()
    machine.the_disk_is_full_as_it_crashes("one")
    machine.writes_go_well_again("two", turn)
    machine.memory_is_as_the_model_says()
    machine.the_store_has_what_memory_has()
    machine.events_tell_the_same()
    machine.teardown()
