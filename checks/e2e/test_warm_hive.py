"""Warm turns in a whole hive: hived grants, revokes and shows them."""

import os
import signal
from pathlib import Path

import msgspec
import pytest

from checks.kits.host.hive import Hive, script
from checks.kits.host.shared_hive import shared_hive
from checks.kits.process.processes import command, family
from pyglue.api import operator as api
from pyglue.api.common import NoParams
from pyglue.api.control import PauseParams
from pyglue.api.metrics import WarmMetrics
from pyglue.config import WarmConfig
from pyglue.limits import MIB

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nix", "git", "bwrap"),
]


hive = shared_hive()


async def ask(hive: Hive, name: str, text: str) -> None:
    send = {"tool": "mcp__hive__send", "input": {"to": "operator", "body": text}}
    await hive.send(name, script(send, {"text": "done"}))
    await hive.answer(name, text)


async def warm(hive: Hive, name: str, *, wanted: bool) -> None:
    async def look() -> bool | None:
        found = await hive.agent(name)
        return bool(found.warm_bytes) is wanted or None

    await hive.until(look, f"{name} is {'warm' if wanted else 'cold'}")


async def metrics(hive: Hive) -> WarmMetrics:
    found = (await hive.operator.call(api.METRICS, NoParams())).warm
    assert found is not None
    return found


def clis(hive: Hive, agent: str = "alice") -> list[int]:
    """Return the agent's CLIs; the manager may have one of its own."""
    state = hive.local.config.layout.agent_state(agent)
    pids = family(hive.local.pid("hived"))
    return [
        pid
        for pid in pids
        if "claude" in "".join(command(pid)[:1])
        and Path(f"/proc/{pid}/root/state").samefile(state)
    ]


async def test_the_second_turn_finds_the_cli_of_the_first(hive: Hive) -> None:
    await hive.idle("manager", "alice")  # the manager may have had a first turn
    await ask(hive, "alice", "one")
    await warm(hive, "alice", wanted=True)
    before = await metrics(hive)
    assert before.memory_bytes >= 64 * MIB
    running = set(clis(hive))
    await ask(hive, "alice", "two")
    await warm(hive, "alice", wanted=True)
    after = await metrics(hive)
    assert (after.hits, after.misses) == (before.hits + 1, before.misses)
    assert set(clis(hive)) == running


async def test_a_restarted_hived_knows_of_it(hive: Hive) -> None:
    await warm(hive, "alice", wanted=True)
    await hive.kill_hived()
    await hive.idle("alice")
    await ask(hive, "alice", "three")
    await warm(hive, "alice", wanted=True)
    assert len(clis(hive)) == 1


async def test_a_pause_and_a_kill_leave_it_cold(hive: Hive) -> None:
    await warm(hive, "alice", wanted=True)
    os.kill(clis(hive)[0], signal.SIGKILL)
    await warm(hive, "alice", wanted=False)
    await ask(hive, "alice", "four")
    await warm(hive, "alice", wanted=True)
    await hive.operator.call(api.PAUSE, PauseParams(agent="alice"))
    await warm(hive, "alice", wanted=False)
    await hive.until(lambda: _none(hive), "no CLI runs")
    await hive.operator.call(
        api.RESUME, msgspec.convert({"agent": "alice"}, api.RESUME.params)
    )
    await ask(hive, "alice", "five")


async def _none(hive: Hive) -> bool | None:
    return not clis(hive) or None


async def test_the_least_recently_used_gives_way(hive: Hive) -> None:
    await warm(hive, "alice", wanted=True)
    held = (await hive.agent("alice")).warm_bytes
    config = msgspec.structs.replace(
        hive.local.config, warm=WarmConfig(memory=held + held // 2)
    )
    await hive.reconfigure(config)
    await hive.idle("alice", "manager")
    await ask(hive, "alice", "six")
    await warm(hive, "alice", wanted=True)
    await ask(hive, "manager", "seven")
    await warm(hive, "manager", wanted=True)
    await warm(hive, "alice", wanted=False)
    assert (await metrics(hive)).evictions == 1
    await ask(hive, "alice", "eight")
