"""Each park ends as soon as its cause ends."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from checks.kits.host.store import Kit, put
from checks.kits.manifest.smallest import MANIFEST
from checks.kits.patience import PATIENCE_S
from pyglue.api.common import AgentState
from pyglue.api.control import Blocked, BlockReason, PauseParams, SetModelParams
from pyglue.api.questions import QuestionEnd
from pyglue.api.relay import ReserveParams
from pyglue.clock.wall_clock import Moment, moment
from pyglue.config import DiskConfig, HiveConfig, OperatorLimits, Quotas, RelayConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.control.controls import Controls
from pyglue.host.control.disk_space import Disk, Space
from pyglue.host.control.footprint import Footprints
from pyglue.host.control.logins import Logins
from pyglue.host.control.resuming import Resuming
from pyglue.host.core.agent import Agent, Receiver
from pyglue.host.core.blocked import blocked
from pyglue.host.core.day_limits import Limit
from pyglue.manifest.record import PinnedRecord
from pyglue.models.catalogue import KNOWN
from pyglue.names import OPERATOR
from pyglue.store import questions, usage

NO_LIMITS = OperatorLimits()


def limits(**changes: Any) -> dict[str, Any]:
    names = ("costPerDayUsd", "cpuQuota", "memoryMax", "tokensPerDay", "turnsPerHour")
    return {**dict.fromkeys(names), **changes}


def resuming_of(kit: Kit, room: Path, **quotas: Any) -> Resuming:
    config = HiveConfig(state_dir=str(room), runtime_dir=str(room))
    space = Space(
        disk=Disk(room, DiskConfig(reserve_mib=0, ballast_mib=0)),
        store=kit.store,
        registry=kit.registry,
        transitions=kit.transitions,
        broker=kit.broker,
        controls=kit.controls,
        audit=kit.audit,
    )
    footprints = Footprints(
        registry=kit.registry,
        transitions=kit.transitions,
        broker=kit.broker,
        controls=kit.controls,
        layout=config.layout,
        quotas=Quotas(**quotas),
    )
    return Resuming(
        registry=kit.registry,
        controls=kit.controls,
        budgets=kit.budgets,
        space=space,
        footprints=footprints,
    )


async def spend(kit: Kit, agent: Agent, cost: float = 0.0, tokens: int = 0) -> None:
    reserve = ReserveParams(
        agent=agent.name, model="haiku", cost_usd=cost, input_tokens=tokens
    )
    await kit.store.write(lambda tx: usage.reserve(tx, reserve, None))


async def deploy(kit: Kit, agent: Agent, **manifest: Any) -> None:
    """Deploy other limits, as a deploy's last step does."""
    record = PinnedRecord({**MANIFEST, **manifest}, None)
    kit.transitions.starting(agent, record)
    await kit.transitions.deployed(
        agent, record, approval=1, commit="a" * 40, wanted=True, also=lambda _tx: None
    )
    put(agent, state=AgentState.IDLE)


async def parked(kit: Kit, **changes: Any) -> tuple[Agent, Limit]:
    """Return an agent that has used up the one limit that is named."""
    alice = await kit.agent("alice", limits=limits(**changes))
    await spend(kit, alice, 2.0, 500)
    await kit.broker.mailbox.turn_start(Receiver(agent=alice), "haiku")
    with pytest.raises(HiveError) as caught:
        await kit.store.write(lambda tx: kit.budgets.check(tx, alice))
    limit = Limit(str(caught.value.details["limit"]))
    await kit.budgets.reached(alice, limit, float(caught.value.details["until_at"]))
    found = kit.controls.blocked(alice)
    assert found is not None
    assert (found.reason, found.text) == (BlockReason.OVER_BUDGET, alice.over_budget)
    assert found.until_at == caught.value.details["until_at"]
    return alice, limit


LIMITS = pytest.mark.parametrize(
    ("limit", "used", "more"),
    [
        ("costPerDayUsd", 2.0, 3.0),
        ("tokensPerDay", 500, 600),
        ("turnsPerHour", 1, 2),
        ("costPerDayUsd", 2.0, None),
        ("tokensPerDay", 500, None),
        ("turnsPerHour", 1, None),
    ],
)


@LIMITS
async def test_a_deploy_that_raises_a_limit_ends_the_park(
    kit: Kit, limit: str, used: float, more: float | None
) -> None:
    alice, _ = await parked(kit, **{limit: used})
    free = asyncio.Event()
    kit.transitions.listen(
        lambda agent: free.set() if agent.over_budget is None else None
    )
    watch = asyncio.create_task(kit.budgets.watch())
    try:
        await deploy(kit, alice, limits=limits(**{limit: used}), description="other")
        assert alice.over_budget is not None
        await deploy(kit, alice, limits=limits(**{limit: more}))
        async with asyncio.timeout(PATIENCE_S):
            while alice.over_budget is not None:
                free.clear()
                await free.wait()
            (asked,) = await kit.store.read(questions.recent)
            while asked.ended is None:  # it is withdrawn with the park
                await asyncio.sleep(0.01)
                (asked,) = await kit.store.read(questions.recent)
    finally:
        watch.cancel()
    assert asked.ended is QuestionEnd.CANCELLED
    assert kit.controls.blocked(alice) is None
    await kit.store.write(lambda tx: kit.budgets.check(tx, alice))


async def test_resume_says_which_budget_is_used_up_and_what_ends_that(
    kit: Kit, tmp_path: Path
) -> None:
    alice, _ = await parked(kit, costPerDayUsd=2.0)
    resuming = resuming_of(kit, tmp_path)
    with pytest.raises(HiveError, match=r"cost limit of \$2.*raise the limit") as bad:
        await resuming.resume("alice", OPERATOR)
    assert bad.value.code is ErrorCode.OVER_BUDGET
    await deploy(kit, alice, limits=limits(costPerDayUsd=5.0))
    await resuming.resume("alice", OPERATOR)
    assert alice.over_budget is None


async def test_a_park_whose_reservations_were_settled_ends_by_resume(
    kit: Kit, tmp_path: Path
) -> None:
    alice, _ = await parked(kit, costPerDayUsd=2.0)
    await kit.store.write(lambda tx: tx.execute("DELETE FROM usage"))
    await resuming_of(kit, tmp_path).resume("alice", OPERATOR)
    assert alice.over_budget is None


async def test_resume_looks_at_quotas_and_disk_anew(kit: Kit, tmp_path: Path) -> None:
    alice = await kit.agent("alice")
    kit.transitions.on_hold(alice, "The files of alice use more than 1 MiB.")
    kit.transitions.disk_full("The disk is full.")
    await resuming_of(kit, tmp_path, state_mib=1).resume("alice", OPERATOR)
    assert (alice.on_hold, kit.registry.disk_full) == (None, None)


async def test_resume_says_that_an_agent_is_stopped_or_its_hive_paused(
    kit: Kit, tmp_path: Path
) -> None:
    alice = await kit.agent("alice")
    resuming = resuming_of(kit, tmp_path)
    await kit.controls.pause(PauseParams(agent="alice"), OPERATOR)
    await kit.transitions.wanted(alice, False)
    with pytest.raises(HiveError, match=r"no longer paused, but.*hive start") as bad:
        await resuming.resume("alice", OPERATOR)
    assert bad.value.code is ErrorCode.AGENT_NOT_RUNNING
    assert not alice.control.paused_at
    await kit.transitions.wanted(alice, True)
    await kit.controls.pause_all("fire", OPERATOR)
    with pytest.raises(HiveError, match="whole hive is paused"):
        await resuming.resume("alice", OPERATOR)


async def test_a_model_that_is_allowed_ends_its_refusal(kit: Kit) -> None:
    alice = await kit.agent("alice")
    controls = Controls(
        registry=kit.registry,
        transitions=kit.transitions,
        audit=kit.audit,
        limits=OperatorLimits(models=("sonnet",)),
        models=KNOWN,
        grace_s=60.0,
        relay=RelayConfig(),
    )
    told: list[bool] = []

    class Harness:
        def notify(self, _method: object, params: Any) -> None:
            told.append(params.again)

    put(alice, harness=Harness())
    found = controls.blocked(alice)
    assert found is not None
    assert found.reason is BlockReason.MODEL_NOT_ALLOWED
    choices = replace(kit.model_choices, controls=controls, limits=controls.limits)
    await choices.choose(SetModelParams(agent="alice", model="sonnet"), OPERATOR)
    assert (controls.blocked(alice), told) == (None, [True])


async def test_a_new_key_ends_the_wait_for_a_login(kit: Kit, tmp_path: Path) -> None:
    alice = await kit.agent("alice")
    key = tmp_path / "key"
    key.write_text("old")
    logins = Logins(
        registry=kit.registry,
        controls=kit.controls,
        config=RelayConfig(api_key_file=str(key)),
    )
    put(alice, state=AgentState.NEEDS_LOGIN, retry_at=moment(3600))
    await logins.look()
    await logins.look()
    assert alice.retry_at is not None
    new = tmp_path / "new"
    new.write_text("new!")
    new.rename(key)
    await logins.look()
    assert alice.retry_at is None


async def test_a_wait_for_the_provider_ends_by_its_time(kit: Kit) -> None:
    alice, everyone = await kit.agent("alice"), kit.registry.everyone
    kit.transitions.provider_answered(alice, 429, Moment(5060.0, 100.0))

    def of(now: Moment) -> Blocked | None:
        return blocked(alice, everyone, NO_LIMITS, now, relay=RelayConfig())

    found = of(Moment(5000.0, 40.0))
    assert found is not None
    assert (found.reason, found.until_at) == (BlockReason.RATE_LIMITED, 5060.0)
    assert of(Moment(5000.0, 100.0)) is None
    assert of(Moment(5060.0, 40.0)) is None
    back = of(Moment(0.0, 90.0))
    assert back is not None
    assert back.until_at == 10.0, "a clock that is set back puts nothing off"
