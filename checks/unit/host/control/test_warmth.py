"""Which agents may keep their CLI: within the memory limit, oldest evicted first."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from checks.kits.host.store import Kit, open_kit, put
from pyglue.api.agent import COOL
from pyglue.api.control import PauseParams
from pyglue.api.event_values import AgentChange
from pyglue.api.events import AgentChanged
from pyglue.config import WarmConfig
from pyglue.host.control.warmth import Warmth
from pyglue.host.core.agent import Agent
from pyglue.limits import MIB, WARM_BYTES
from pyglue.names import OPERATOR


class Line:
    """A harness's connection, as far as it is told something."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def notify(self, note: Any, _params: Any) -> None:
        self.told.append(note)

    def on_close(self, _callback: Any) -> None:
        """It stays."""


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    opened = await open_kit(tmp_path)
    for name in ("alice", "bob", "carol"):
        put(await opened.agent(name), harness=Line())
    yield opened
    await opened.store.close()


def warmth(kit: Kit, mib: int, **more: Any) -> Warmth:
    return Warmth(
        registry=kit.registry,
        transitions=kit.transitions,
        config=WarmConfig(memory=mib * MIB),
        **more,
    )


def three(kit: Kit) -> tuple[Agent, Agent, Agent]:
    alice, bob, carol = map(kit.registry.get, ("alice", "bob", "carol"))
    return alice, bob, carol


def told(agent: Agent) -> list[Any]:
    line: Any = agent.harness
    return list(line.told)


async def test_the_least_recently_used_goes_first(kit: Kit) -> None:
    here, (alice, bob, carol) = warmth(kit, 500), three(kit)
    assert here.offered(alice, 200 * MIB)
    assert here.offered(bob, 200 * MIB)
    here.turn_began(alice, warm=True)
    assert here.offered(alice, 200 * MIB), "used again: bob's is the older now"
    assert here.offered(carol, 200 * MIB)
    assert [bool(a.warm) for a in (alice, bob, carol)] == [True, False, True]
    assert (told(alice), told(bob), told(carol)) == ([], [COOL], [])
    assert here.held == 400 * MIB
    found = here.metrics()
    assert (found.hits, found.misses, found.evictions) == (1, 0, 1)


async def test_what_does_not_fit_is_refused_and_takes_nothing(kit: Kit) -> None:
    here, (alice, bob, _) = warmth(kit, 300), three(kit)
    assert here.offered(alice, 200 * MIB)
    assert not here.offered(bob, 301 * MIB)
    assert alice.warm and told(alice) == []
    more = warmth(kit, 9000)
    assert not more.offered(bob, WARM_BYTES + 1), "as much as one agent may have"


async def test_none_is_kept_where_the_host_says_so(kit: Kit) -> None:
    here, (alice, *_) = warmth(kit, 0), three(kit)
    assert not here.offered(alice, 1)
    assert not here.offered(alice, 0)


async def test_a_size_that_no_cli_has_counts_as_one(kit: Kit) -> None:
    """An agent that claims to need nothing keeps no other from being taken back."""
    here, (alice, *_) = warmth(kit, 300), three(kit)
    assert here.offered(alice, 1)
    assert here.held == 64 * MIB


async def test_a_paused_agent_keeps_none(kit: Kit) -> None:
    here, (alice, *_) = warmth(kit, 500), three(kit)
    await kit.controls.pause(PauseParams(agent="alice"), OPERATOR)
    assert not here.offered(alice, 200 * MIB)


async def test_a_lost_harness_holds_nothing(kit: Kit) -> None:
    here, (alice, *_) = warmth(kit, 500), three(kit)
    assert here.offered(alice, 200 * MIB)
    kit.transitions.harness_lost(alice)
    assert here.held == 0


async def test_one_that_hived_does_not_know_of_is_taken_over_or_ended(kit: Kit) -> None:
    """As after a restart of hived."""
    here, (alice, bob, _) = warmth(kit, 300), three(kit)
    here.reported(alice, 200 * MIB)
    assert alice.warm == 200 * MIB
    here.reported(bob, 400 * MIB)
    assert told(bob) == [COOL]
    here.reported(alice, 0)
    assert not alice.warm and told(alice) == []


async def test_pages_hear_of_one_that_ends_between_turns(kit: Kit) -> None:
    here, (alice, *_) = warmth(kit, 500), three(kit)
    assert here.offered(alice, 200 * MIB)
    here.reported(alice, 0)
    await kit.store.write(lambda _: None)
    found = [event.read() for event in kit.events if event.agent == "alice"]
    assert AgentChanged(what=AgentChange.COLD) in found


async def test_memory_pressure_takes_all_back(kit: Kit) -> None:
    here, agents = warmth(kit, 900), three(kit)
    for agent in agents:
        assert here.offered(agent, 200 * MIB)
    here.take_back_all()
    assert here.held == 0
    assert [told(agent) for agent in agents] == [[COOL]] * 3
    assert here.evictions == 3


@pytest.mark.skipif(
    not os.access("/proc/pressure/memory", os.W_OK), reason="no pressure to watch"
)
async def test_the_kernel_takes_the_trigger(
    kit: Kit, caplog: pytest.LogCaptureFixture
) -> None:
    assert await watched(warmth(kit, 900), caplog)


async def test_without_such_a_file_nothing_is_watched(
    kit: Kit, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    none = warmth(kit, 900, pressure=tmp_path / "none")
    assert not await watched(none, caplog)


async def watched(here: Warmth, caplog: pytest.LogCaptureFixture) -> bool:
    """Begin to watch for pressure; tell whether that was said to be impossible."""
    caplog.set_level("INFO")
    watching = asyncio.create_task(here.watch())
    await asyncio.sleep(0)
    assert not watching.done()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    return "memory pressure is not watched" not in caplog.text
