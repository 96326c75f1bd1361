"""A part that was stopped and continued, as by a suspend: no problem stays shown."""

import asyncio
import os
import signal
import time

import pytest

from checks.kits.host.hive import Hive, script
from checks.kits.host.hived import A_DAY
from checks.kits.host.shared_hive import shared_hive
from checks.kits.process.processes import family, state
from pyglue.api import operator as api
from pyglue.api.common import NoParams
from pyglue.api.doctor import CheckState
from pyglue.cli.local.launcher import PARTS

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nix", "git", "bwrap"),
]


hive = shared_hive(peers=True, beside=PARTS)


def stopped(hive: Hive, part: str) -> list[int]:
    """Return the processes of a part: a daemon, or all agents with their sandboxes."""
    if part != "harness":
        return [hive.local.pid(part)]
    hived = hive.local.pid("hived")
    return [pid for pid in family(hived) if pid != hived]


async def is_well(hive: Hive) -> None:
    async def look() -> bool | None:
        found = await hive.operator.call(api.DOCTOR, NoParams())
        bad = [one for one in found.checks if one.state is CheckState.PROBLEM]
        status = await hive.operator.call(api.STATUS, NoParams())
        lost = [text for text in status.warnings if "hive-relay" in text]
        return None if bad or lost else True

    await hive.until(look, "a hive without problems", every=0.5)


async def _all_stopped(pids: list[int]) -> bool | None:
    """It is not stopped yet when the signal is sent."""
    return all(state(pid) in ("T", "Z", "gone") for pid in pids) or None


@pytest.mark.parametrize("part", ["hived", "hive-relay", "hive-web", "harness"])
async def test_what_was_stopped_goes_on_as_before(hive: Hive, part: str) -> None:
    pids = stopped(hive, part)
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    await hive.until(lambda: _all_stopped(pids), f"a stopped {part}", every=0.05)
    text = script(
        {
            "tool": "mcp__hive__send",
            "input": {"to": "operator", "body": f"after {part}"},
        }
    )
    sending = asyncio.create_task(hive.send("alice", text))
    if part != "hived":
        await sending
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    await sending
    await hive.answer("alice", f"after {part}")
    await hive.idle("alice", "manager")
    await is_well(hive)


async def test_a_hive_that_stood_still_waits_as_before(hive: Hive) -> None:
    """All of it, as a machine that sleeps; nobody sends a message afterwards."""
    pids = [hive.local.pid(part) for part in ("hived", "hive-relay", "hive-web")]
    pids += stopped(hive, "harness")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    await hive.until(lambda: _all_stopped(pids), "a stopped hive", every=0.05)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    await is_well(hive)
    await hive.idle("alice", "manager")
    for name in ("alice", "manager"):
        agent = await hive.agent(name)
        assert (agent.detail, agent.problem, agent.blocked) == (None, None, None)


async def test_a_day_without_messages_leaves_all_as_it_was(hive: Hive) -> None:
    """hived's clocks go on by a day, and what was due in it is due at once."""
    os.kill(hive.local.pid("hived"), A_DAY)
    await is_well(hive)
    await hive.idle("alice", "manager")
    for name in ("alice", "manager"):
        agent = await hive.agent(name)
        assert (agent.detail, agent.problem, agent.blocked) == (None, None, None)
        assert agent.inbox == 0
    send = {"tool": "mcp__hive__send", "input": {"to": "operator", "body": "a day on"}}
    await hive.send("alice", script(send))
    answer = await hive.answer("alice", "a day on")
    assert answer.sent_at - time.time() > 23 * 60 * 60, "its clock"
    await hive.idle("alice", "manager")
    await is_well(hive)
