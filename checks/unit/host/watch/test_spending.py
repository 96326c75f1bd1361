"""Recent costs of agents: by hour, in the last hour, and how often they are read."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from checks.bench.scale import views
from checks.kits.host.store import Kit, put
from checks.kits.manifest.smallest import MANIFEST
from pyglue.api.common import NoParams
from pyglue.api.events import TurnEnded
from pyglue.api.manager import AgentParams
from pyglue.api.relay import ReserveParams
from pyglue.api.turns import TurnOutcome
from pyglue.host.core.day_limits import start_of_day
from pyglue.host.watch.spending import HOURS, Spending
from pyglue.store import metrics, usage
from pyglue.store.database import Tx


@pytest.fixture
def recently(kit: Kit) -> Spending:
    return Spending(store=kit.store, bus=kit.bus)


async def spend(kit: Kit, agent: str, cost: float, ago: float = 0.0) -> None:
    """Let a turn of an hour long ago leave its cost."""

    def write(tx: Tx) -> None:
        tx.now = time.time() - ago
        metrics.record(tx, agent, {"cost_usd": cost, "turns": 1.0})

    await kit.store.write(write)


async def request(kit: Kit, agent: str, cost: float, ago: float, settled: bool) -> None:
    sql = (
        "INSERT INTO usage (agent, model, at, settled, cost_usd) "
        "VALUES (?, 'haiku', ?, ?, ?)"
    )
    at = time.time() - ago
    await kit.store.write(lambda tx: tx.execute(sql, agent, at, int(settled), cost))


async def test_the_hours_of_a_day_of_all_agents(kit: Kit, recently: Spending) -> None:
    await spend(kit, "alice", 0.25)
    await spend(kit, "alice", 0.125)
    await spend(kit, "bob", 1.0, ago=(HOURS - 1) * 3600)
    await spend(kit, "bob", 9.0, ago=HOURS * 3600)  # older than a day
    await spend(kit, "carol", 0.0)
    found = (await recently.read()).hours
    assert found == {
        "alice": (*[0.0] * (HOURS - 1), 0.375),
        "bob": (1.0, *[0.0] * (HOURS - 1)),
    }


async def test_the_last_hour_is_of_finished_requests(
    kit: Kit, recently: Spending
) -> None:
    await request(kit, "alice", 0.5, 60, settled=True)
    await request(kit, "alice", 0.25, 3500, settled=True)
    await request(kit, "alice", 8.0, 30, settled=False)  # only reserved
    await request(kit, "alice", 8.0, 3700, settled=True)
    await request(kit, "alice", 8.0, -600, settled=True)  # the clock was set back
    await request(kit, "bob", 0.125, 0, settled=True)
    assert (await recently.read()).hour == {"alice": 0.75, "bob": 0.125}


async def test_it_is_read_once_until_a_turn_ends(
    kit: Kit, recently: Spending, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("pyglue.host.watch.spending.time.monotonic", lambda: now)
    first = await recently.read()
    await spend(kit, "alice", 1.0)
    now += 5
    assert await recently.read() is first
    await kit.agent("alice")
    well = TurnOutcome.OK
    ended = TurnEnded(turn=1, outcome=well, reason=None, duration_ms=9, steps=1)
    await kit.store.write(lambda tx: tx.emit("alice", ended))
    again = await recently.read()
    assert set(again.hours) == {"alice"}
    now += 0.5  # its metrics may not be written yet
    assert await recently.read() is not again
    now += 2
    last = await recently.read()
    now += 14
    assert await recently.read() is last
    now += 2
    assert await recently.read() is not last


async def test_an_agent_s_view_has_its_costs_and_its_limit(
    kit: Kit, tmp_path: Path
) -> None:
    limits = {**MANIFEST["limits"], "costPerDayUsd": 2.0}
    alice = await kit.agent("alice", limits=limits)
    await kit.agent("bob")
    await spend(kit, "alice", 0.25)
    reserved = ReserveParams(agent="alice", model="haiku", cost_usd=0.5)
    await kit.store.write(lambda tx: usage.reserve(tx, reserved, None))
    shown = views(kit, tmp_path)
    one, other = (await shown.agents(NoParams())).agents
    assert (one.cost_today_usd, one.cost_limit_usd, one.cost_hour_usd) == (0.5, 2.0, 0)
    assert one.cost_hours[-1] == 0.25 and len(one.cost_hours) == HOURS
    assert (other.cost_limit_usd, other.cost_hour_usd, other.cost_hours) == (
        None,
        0.0,
        (),
    )
    lifted = replace(alice.control, lift_day=start_of_day(), lift_usd=3.0)
    put(alice, control=lifted)
    detail = await shown.agent(AgentParams(agent="alice"))
    assert detail.agent.cost_limit_usd == 5.0
