"""A subscription's windows in hived: shown until they reset, and heeded by everyone."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from checks.kits.host.store import Kit, open_kit
from pyglue.api.control import BlockReason
from pyglue.api.relay import RateWindow, ReserveParams, SettleParams
from pyglue.config import HiveConfig
from pyglue.host.core.agent import Agent
from pyglue.host.model.relay import RelayHub
from pyglue.store import usage
from pyglue.wall_clock import moment


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    opened = await open_kit(tmp_path)
    for name in ("alice", "bob"):
        await opened.agent(name)
    yield opened
    await opened.store.close()


@pytest.fixture
def hub(kit: Kit, tmp_path: Path) -> RelayHub:
    return RelayHub(
        store=kit.store,
        registry=kit.registry,
        transitions=kit.transitions,
        config=HiveConfig(state_dir=str(tmp_path), runtime_dir=str(tmp_path)),
        server_name="x",
    )


async def settle(
    kit: Kit, hub: RelayHub, status: int, wait: float | None, *windows: RateWindow
) -> None:
    reserve = ReserveParams(agent="alice", model="haiku", cost_usd=0.0)
    number = await kit.store.write(lambda tx: usage.reserve(tx, reserve, None))
    params = SettleParams(
        reservation=number,
        cost_usd=0.0,
        status=status,
        retry_after_s=wait,
        windows=windows,
    )
    await hub._settle(params)


def reason(kit: Kit, agent: Agent) -> BlockReason | None:
    found = kit.controls.blocked(agent)
    return None if found is None else found.reason


def window(name: str, used: float, ahead: float, *, up: bool = False) -> RateWindow:
    return RateWindow(
        name=name, used=used, resets_at=time.time() + ahead, is_used_up=up
    )


async def test_windows_are_shown_until_they_reset(kit: Kit, hub: RelayHub) -> None:
    await settle(kit, hub, 200, None, window("5h", 0.3, 3600), window("7d", 0.1, -1))
    assert [(w.name, w.used) for w in hub.windows()] == [("5h", 0.3)]
    await settle(kit, hub, 200, None, window("5h", 0.4, 3600))
    assert [w.used for w in hub.windows()] == [0.4]
    await settle(kit, hub, 200, None)
    assert [w.words for w in hub.windows()] == ["5-hour window 40 % used"]
    assert reason(kit, kit.registry.get("bob")) is None


async def test_a_used_up_window_holds_for_every_agent(kit: Kit, hub: RelayHub) -> None:
    await settle(kit, hub, 429, 600.0, window("5h", 1.0, 600, up=True))
    for name in ("alice", "bob"):
        agent = kit.registry.get(name)
        assert reason(kit, agent) is BlockReason.RATE_LIMITED
        assert agent.retry_at is not None
        assert 0 < agent.retry_at.left(moment()) <= 600


async def test_another_limit_holds_for_its_agent_alone(kit: Kit, hub: RelayHub) -> None:
    await settle(kit, hub, 429, 600.0, window("5h", 0.5, 600))
    assert reason(kit, kit.registry.get("alice")) is BlockReason.RATE_LIMITED
    assert reason(kit, kit.registry.get("bob")) is None
