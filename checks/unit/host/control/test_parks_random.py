"""Random parks and lifts: without a cause an agent runs, with one it names it."""

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from checks.kits.host.store import open_kit, put
from checks.kits.manifest.smallest import MANIFEST
from pyglue.api.control import BlockReason, PauseParams
from pyglue.api.relay import ReserveParams
from pyglue.clock.wall_clock import moment
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.day_limits import Limit
from pyglue.manifest.record import PinnedRecord
from pyglue.names import OPERATOR
from pyglue.store import usage

LIMITS = ("costPerDayUsd", "cpuQuota", "memoryMax", "tokensPerDay", "turnsPerHour")


class Parks(RuleBasedStateMachine):
    """An agent's causes to wait, and what its controls make of them."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.room = tempfile.TemporaryDirectory()
        self.kit = self.run(open_kit(Path(self.room.name)))
        self.alice = self.run(self.kit.agent("alice"))
        self.limit: float | None = 5.0
        self.spent = 0.0
        self.causes: set[BlockReason] = set()
        self.deploys(self.limit)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.run(self.kit.store.close())
        self.loop.close()
        self.room.cleanup()

    def caused(self, reason: BlockReason, is_cause: bool) -> None:
        (self.causes.add if is_cause else self.causes.discard)(reason)

    # --- causes and lifts -------------------------------------------------------------

    @rule(paused=st.booleans())
    def it_is_paused_or_resumed(self, paused: bool) -> None:
        async def change() -> None:
            try:
                if paused:
                    await self.kit.controls.pause(PauseParams(agent="alice"), OPERATOR)
                else:
                    await self.kit.controls.resume("alice", OPERATOR)
            except HiveError as error:
                assert error.code is ErrorCode.PAUSED
                assert BlockReason.HIVE_PAUSED in self.causes

        self.run(change())
        self.caused(BlockReason.PAUSED, paused)
        if not paused:
            self.caused(BlockReason.RATE_LIMITED, False)

    @rule(paused=st.booleans())
    def the_hive_is_paused_or_resumed(self, paused: bool) -> None:
        controls = self.kit.controls
        work = controls.pause_all("", OPERATOR) if paused else None
        self.run(work or controls.resume_all(OPERATOR))
        self.caused(BlockReason.HIVE_PAUSED, paused)
        if not paused:
            self.caused(BlockReason.RATE_LIMITED, False)

    @rule(full=st.booleans())
    def the_disk_fills_up_or_is_freed(self, full: bool) -> None:
        self.kit.transitions.disk_full("The disk is full." if full else None)
        self.caused(BlockReason.DISK_FULL, full)

    @rule(held=st.booleans())
    def its_files_grow_or_are_removed(self, held: bool) -> None:
        async def change() -> None:
            self.kit.transitions.on_hold(
                self.alice, "Too many files." if held else None
            )

        self.run(change())
        self.caused(BlockReason.QUOTA, held)

    @rule(asked=st.booleans())
    def the_provider_asks_to_back_off_or_it_is_over(self, asked: bool) -> None:
        seconds = 3600.0 if asked else -1.0
        until = moment(seconds)
        self.kit.transitions.provider_answered(self.alice, 429, until)
        self.caused(BlockReason.RATE_LIMITED, asked)

    @rule(wanted=st.booleans())
    def it_is_stopped_or_started(self, wanted: bool) -> None:
        self.run(self._write(lambda: self.kit.transitions.wanted(self.alice, wanted)))
        self.caused(BlockReason.STOPPED, not wanted)

    async def _write(self, make: Any) -> None:
        await make()

    @rule(cost=st.sampled_from([1.0, 4.0]))
    def it_spends(self, cost: float) -> None:
        async def spend() -> None:
            params = ReserveParams(agent="alice", model="haiku", cost_usd=cost)
            await self.kit.store.write(lambda tx: usage.reserve(tx, params, None))
            try:
                await self.kit.store.write(
                    lambda tx: self.kit.budgets.check(tx, self.alice)
                )
            except HiveError as error:
                until = float(error.details["until_at"])
                await self.kit.budgets.reached(self.alice, Limit.COST, until)

        self.run(spend())
        self.spent += cost
        self._judge()

    @rule(limit=st.sampled_from([2.0, 5.0, 50.0, None]))
    def deploys(self, limit: float | None) -> None:
        async def deploy() -> None:
            changes = {**dict.fromkeys(LIMITS), "costPerDayUsd": limit}
            record = PinnedRecord({**MANIFEST, "limits": changes}, None)
            put(self.alice, record=record, applied=record)
            await self.kit.budgets.look(self.alice)
            if limit is not None and self.spent >= limit:  # its next turn finds it
                await self.kit.budgets.reached(self.alice, Limit.COST, None)

        self.run(deploy())
        self.limit = limit
        self._judge()

    def _judge(self) -> None:
        over = self.limit is not None and self.spent >= self.limit
        self.caused(BlockReason.OVER_BUDGET, over)

    # --- what must hold ---------------------------------------------------------------

    @invariant()
    def it_runs_or_says_why_it_does_not(self) -> None:
        found = self.kit.controls.blocked(self.alice)
        assert (found is not None) is bool(self.causes), (found, self.causes)

    @invariant()
    def what_it_says_is_a_cause_and_its_turns_agree(self) -> None:
        found = self.kit.controls.blocked(self.alice)
        assert found is None or (found.reason in self.causes and found.remedy)
        refused = False
        try:
            self.kit.controls.check_turn(self.alice)
        except HiveError:
            refused = True
        assert refused is bool(self.causes - {BlockReason.STOPPED})


Parks.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestParks = Parks.TestCase
