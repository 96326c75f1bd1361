"""The operator's control of working agents: pauses and budgets, on a real store."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from checks.kits.host.messages import parks
from checks.kits.host.store import Kit, open_kit, put
from checks.kits.patience import PATIENCE_S
from pyglue.api.control import PauseParams
from pyglue.api.messages import RecvParams
from pyglue.api.questions import AnswerParams
from pyglue.api.relay import ReserveParams, SettleParams
from pyglue.clock.wall_clock import moment
from pyglue.config import HiveConfig, OperatorLimits
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.agent import HIVE, Receiver
from pyglue.host.core.day_limits import Limit, limits_of, start_of_day
from pyglue.host.model.relay import RelayHub
from pyglue.names import OPERATOR
from pyglue.redaction.redactor import Redactor
from pyglue.store import messages, questions, usage
from pyglue.store.control import Control
from pyglue.store.messages import NewMessage

NOW = RecvParams(max=32)


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    opened = await open_kit(tmp_path)
    await opened.agent("alice")
    yield opened
    await opened.store.close()


def manifest_limits(**changes: Any) -> dict[str, Any]:
    none = ("costPerDayUsd", "cpuQuota", "memoryMax", "tokensPerDay", "turnsPerHour")
    return {**dict.fromkeys(none), **changes}


async def mail(kit: Kit, to: str = "alice") -> int:
    return (
        await kit.broker.post(NewMessage(sender=OPERATOR, recipient=to, body="x"))
    ).id


# --- pauses ---------------------------------------------------------------------------


async def test_a_paused_agent_gets_no_mail(kit: Kit) -> None:
    alice = kit.registry.get("alice")
    holder = Receiver(agent=alice)
    parked = await parks(kit, holder)
    await kit.controls.pause(PauseParams(agent="alice", reason="lunch"), OPERATOR)
    assert (await parked).messages == ()
    await mail(kit)
    with pytest.raises(HiveError, match="operator paused alice: lunch") as caught:
        await kit.broker.mailbox.recv(holder, NOW)
    assert caught.value.code is ErrorCode.PAUSED
    await kit.controls.resume("alice", OPERATOR)
    assert len((await kit.broker.mailbox.recv(holder, NOW)).messages) == 1


async def test_pauses_survive_hived(kit: Kit) -> None:
    await kit.controls.pause(PauseParams(agent="alice"), OPERATOR)
    await kit.controls.pause_all("fire", OPERATOR)
    alice = kit.registry.get("alice")
    put(alice, control=Control(agent="alice"))
    put(kit.registry.everyone, control=Control(agent=HIVE))
    await kit.transitions.load()
    assert kit.registry.paused(alice) == "operator paused the hive: fire"
    with pytest.raises(HiveError) as caught:
        await kit.controls.resume("alice", OPERATOR)
    assert caught.value.code is ErrorCode.PAUSED
    await kit.controls.pause(PauseParams(agent="alice"), OPERATOR)
    await kit.controls.resume_all(OPERATOR)
    assert kit.registry.paused(alice) == "operator paused alice."


async def test_who_is_resumed_waits_no_longer_for_the_models_side(kit: Kit) -> None:
    alice = kit.registry.get("alice")
    put(alice, retry_at=moment(3600))
    await kit.controls.resume("alice", OPERATOR)
    assert alice.retry_at is None
    put(alice, retry_at=moment(3600))
    await kit.controls.resume_all(OPERATOR)
    assert alice.retry_at is None


async def test_there_is_nothing_to_cancel_or_compact(kit: Kit) -> None:
    with pytest.raises(HiveError) as caught:
        await kit.controls.cancel("alice", "", OPERATOR)
    assert caught.value.code is ErrorCode.CONFLICT
    with pytest.raises(HiveError) as caught:
        await kit.controls.compact("alice", OPERATOR)
    assert caught.value.code is ErrorCode.AGENT_NOT_RUNNING
    with pytest.raises(HiveError) as caught:
        await kit.controls.new_session("alice", OPERATOR)
    assert caught.value.code is ErrorCode.AGENT_NOT_RUNNING
    await kit.controls.pause(PauseParams(agent="alice"), OPERATOR)
    with pytest.raises(HiveError) as caught:
        await kit.controls.compact("alice", OPERATOR)
    assert caught.value.code is ErrorCode.PAUSED
    for call in (kit.controls.resume, kit.controls.compact, kit.model_choices.reset):
        with pytest.raises(HiveError) as caught:
            await call("nobody", OPERATOR)
        assert caught.value.code is ErrorCode.NOT_FOUND


async def test_mail_that_never_reached_the_turn_waits_again(kit: Kit) -> None:
    holder = Receiver(agent=kit.registry.get("alice"))
    lost, seen = await mail(kit), await mail(kit)
    assert len((await kit.broker.mailbox.recv(holder, NOW)).messages) == 2
    await kit.broker.mailbox.turn_start(holder, "haiku", seen=(seen,))
    (again,) = (await kit.broker.mailbox.recv(holder, NOW)).messages
    assert (again.id, again.redelivered) == (lost, True)


async def test_mail_for_a_recv_that_was_given_up_waits_again(kit: Kit) -> None:
    holder = Receiver(agent=kit.registry.get("alice"))
    parked = await parks(kit, holder)
    sending = asyncio.create_task(mail(kit))
    while holder.agent.parked is not None:  # taken out as it is sent
        await asyncio.sleep(0)
    parked.cancel()
    await sending
    await asyncio.wait({parked})
    await kit.store.write(lambda _tx: None)
    waiting = await kit.store.read(lambda reader: messages.waiting(reader, "alice"))
    assert waiting == 1


# --- budgets --------------------------------------------------------------------------


async def spend(kit: Kit, cost: float = 0.0, tokens: int = 0) -> None:
    reserve = ReserveParams(agent="alice", model="haiku", cost_usd=cost)
    number = await kit.store.write(lambda tx: usage.reserve(tx, reserve, None))
    settle = SettleParams(
        reservation=number, cost_usd=cost, status=200, cache_read_tokens=tokens
    )
    await kit.store.write(lambda tx: usage.settle(tx, settle))


async def begin(kit: Kit) -> float | None:
    alice = kit.registry.get("alice")
    left: list[float | None] = []
    await kit.broker.mailbox.turn_start(
        Receiver(agent=alice),
        "haiku",
        check=lambda tx: left.append(kit.budgets.check(tx, alice)),
    )
    return left[0]


@pytest.mark.parametrize(
    ("limits", "limit", "option"),
    [
        ({"costPerDayUsd": 2.0}, Limit.COST, "Continue today with $2 more"),
        ({"tokensPerDay": 500}, Limit.TOKENS, "Continue today with 500 tokens more"),
        ({"turnsPerHour": 2}, Limit.TURNS, "Continue today with 2 turns an hour more"),
    ],
)
async def test_at_a_limit_the_operator_is_asked(
    kit: Kit, limits: dict[str, Any], limit: Limit, option: str
) -> None:
    alice = await kit.agent("alice", limits=manifest_limits(**limits))
    await begin(kit)
    await spend(kit, 1.0, 250)
    left = await begin(kit)
    assert left == (1.0 if limit is Limit.COST else None)
    await spend(kit, 1.0, 250)
    with pytest.raises(HiveError) as caught:
        await begin(kit)
    assert caught.value.code is ErrorCode.OVER_BUDGET
    assert caught.value.details["limit"] == limit.value
    until = float(caught.value.details["until_at"])
    assert until > time.time()
    for _ in range(2):  # asked once
        await kit.budgets.reached(alice, limit, until)
    assert alice.over_budget is not None
    (asked,) = await kit.store.read(questions.recent)
    assert (asked.asker, asked.to, asked.expires_at) == ("system", OPERATOR, until)
    assert asked.options == (option, "Stay parked")

    answer = AnswerParams(question=asked.id, choices=(option,))
    await kit.questions.answer(OPERATOR, answer)
    assert alice.over_budget is None
    await begin(kit)
    before = limits_of(alice, kit.budgets.config, lifted=False)
    after = limits_of(alice, kit.budgets.config)
    assert sum(x or 0 for x in (after.cost_usd, after.tokens, after.turns)) == 2 * sum(
        x or 0 for x in (before.cost_usd, before.tokens, before.turns)
    )


async def test_an_agent_that_stays_parked_is_not_asked_for_again(kit: Kit) -> None:
    alice = await kit.agent("alice", limits=manifest_limits(costPerDayUsd=1.0))
    await kit.budgets.reached(alice, Limit.COST, None)
    (asked,) = await kit.store.read(questions.recent)
    answer = AnswerParams(question=asked.id, choices=("Stay parked",))
    await kit.questions.answer(OPERATOR, answer)
    assert alice.over_budget is not None
    await kit.transitions.load()  # a restart later
    await kit.budgets.reached(alice, Limit.COST, None)
    assert len(await kit.store.read(questions.recent)) == 1


async def test_a_parked_agent_goes_on_when_its_time_is_over(kit: Kit) -> None:
    alice = await kit.agent("alice", limits=manifest_limits(turnsPerHour=1))
    watch = asyncio.create_task(kit.budgets.watch())
    try:
        await kit.budgets.reached(alice, Limit.TURNS, time.time() + 0.05)
        async with asyncio.timeout(PATIENCE_S):
            while alice.over_budget is not None:
                await asyncio.sleep(0.01)
    finally:
        watch.cancel()


async def test_the_lower_limit_holds(kit: Kit, tmp_path: Path) -> None:
    alice = await kit.agent(
        "alice", limits=manifest_limits(costPerDayUsd=9.0, tokensPerDay=5)
    )
    config = HiveConfig(
        state_dir=str(tmp_path),
        runtime_dir=str(tmp_path),
        limits=OperatorLimits(cost_per_day_usd=2.0, tokens_per_day=7, turns_per_hour=3),
    )
    found = limits_of(alice, config)
    assert (found.cost_usd, found.tokens, found.turns) == (2.0, 5, 3)


async def test_a_dead_relays_reservations_are_settled(kit: Kit, tmp_path: Path) -> None:
    config = HiveConfig(state_dir=str(tmp_path), runtime_dir=str(tmp_path))
    hub = RelayHub(
        redactor=Redactor(),
        store=kit.store,
        registry=kit.registry,
        transitions=kit.transitions,
        config=config,
        server_name="x",
    )
    reserve = ReserveParams(
        agent="alice",
        model="sonnet",
        cost_usd=100.0,
        input_tokens=1_000_000,
        output_tokens=1000,
    )
    kept = await kit.store.write(lambda tx: usage.reserve(tx, reserve, None))
    await kit.store.write(lambda tx: usage.reserve(tx, reserve, None))
    await kit.store.write(lambda tx: hub._settle_orphans(tx, (kept,)))
    settled = "SELECT settled FROM usage ORDER BY id"
    rows = await kit.store.read(lambda reader: reader.execute(settled).fetchall())
    assert [bool(row[0]) for row in rows] == [False, True]
    await kit.store.write(lambda tx: hub._settle_orphans(tx, ()))
    spent = await kit.store.read(
        lambda reader: usage.spent(reader, "alice", start_of_day())
    )
    assert spent == pytest.approx(200.0)


async def test_sums_of_absurd_figures_do_not_overflow(kit: Kit) -> None:
    for _ in range(3):  # as an earlier version may have written them
        await spend(kit, 1.0, 7)
    biggest = 2**63 - 1
    await kit.store.write(
        lambda tx: tx.execute("UPDATE usage SET cache_read_tokens = ?", biggest)
    )
    tokens = await kit.store.read(
        lambda reader: usage.tokens(reader, "alice", start_of_day())
    )
    assert tokens >= biggest


@pytest.mark.parametrize(
    "name",
    ["input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"],
)
@pytest.mark.parametrize("value", [-1, 2**63, 2**64, 1.5, True, "1"])
def test_absurd_figures_are_not_settled(name: str, value: Any) -> None:
    params = {"reservation": 1, "cost_usd": 0.0, "status": 200, name: value}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(params, SettleParams)
