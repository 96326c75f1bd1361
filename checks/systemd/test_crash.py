"""Containers and hived crash: what recovers, and what is reported, once.

What counts are the messages to the manager: each end of a run is one.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio

from checks.kits.host.hive import script
from checks.systemd.hive import SystemHive
from checks.systemd.machine import PEER, UNCHECKED
from pyglue.api import operator as api
from pyglue.api.common import AgentState
from pyglue.api.inbox import MessagesParams
from pyglue.api.manager import RESTART, START, STOP, AgentParams
from pyglue.host.backends.nixos_files import unit_of

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nspawn"),
]

_EVENT: Final = re.compile(r"\(event [0-9a-f]{12}\)")


def said(text: str, **step: object) -> str:
    """Return a message that makes an agent tell the operator ``text``."""
    send = {"tool": "mcp__hive__send", "input": {"to": "operator", "body": text}}
    return script({**send, **step}, {"text": "done"})


async def told(hive: SystemHive) -> list[str]:
    """Return what the hive told the manager of ends and starts, oldest first."""
    flow = await hive.operator.call(api.MESSAGES, MessagesParams(limit=200))
    return [
        message.body
        for message in sorted(flow.messages, key=lambda message: message.id)
        if (message.sender, message.recipient) == ("system", "manager")
        and not message.body.startswith("Approval ")
    ]


async def news(hive: SystemHive, before: list[str], *parts: str) -> list[str]:
    """Wait until each part was told after ``before``; return all that is new."""

    fresh: list[str] = []

    async def look() -> list[str] | None:
        fresh[:] = (await told(hive))[len(before) :]
        return fresh if all(any(p in text for text in fresh) for p in parts) else None

    try:
        return await hive.until(look, f"{parts} in the manager's inbox")
    except AssertionError as error:
        raise AssertionError(f"{error}; it got: {fresh}") from error


def run_of(hive: SystemHive) -> str:
    return hive.run_of(unit_of("alice"))


async def answers(hive: SystemHive, text: str) -> None:
    """See that alice works."""
    await hive.send("alice", said(text))
    await hive.answer("alice", text)


async def started(hive: SystemHive) -> None:
    """Start alice, as the operator."""
    operation = (await hive.operator.call(START, AgentParams(agent="alice"))).operation
    assert (await hive.operation(operation)).error is None
    await hive.idle("alice")


# --- hived goes and comes -------------------------------------------------------------


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def harness(hive: SystemHive) -> AsyncIterator[None]:
    """Let alice run the real harness, without its check of the CLI."""
    with hive.machine.harness(UNCHECKED):
        again = await hive.operator.call(RESTART, AgentParams(agent="alice"))
        assert (await hive.operation(again.operation)).error is None
        await hive.idle("alice")
        yield


@pytest.mark.usefixtures("harness")
async def test_containers_outlive_an_update_of_hived(hive: SystemHive) -> None:
    run, before = run_of(hive), await told(hive)
    await hive.restart_hived()
    await hive.idle("manager", "alice")
    await answers(hive, "the same alice")
    assert (run_of(hive), await told(hive)) == (run, before)


@pytest.mark.usefixtures("harness")
async def test_a_killed_hived_loses_no_message(hive: SystemHive) -> None:
    run, before = run_of(hive), await told(hive)
    await hive.send("alice", said("it went on", sleep=2.0))

    async def thinking() -> bool | None:
        state = (await hive.agent("alice")).state
        return True if state is AgentState.THINKING else None

    await hive.until(thinking, "a turn")
    await hive.kill_hived()
    await hive.answer("alice", "it went on")

    async def empty() -> bool | None:
        agent = await hive.agent("alice")
        idle = agent.state is AgentState.IDLE
        return True if agent.inbox == 0 and idle else None

    await hive.until(empty, "the acknowledgement")
    assert (run_of(hive), await told(hive)) == (run, before)


async def test_a_hived_that_hangs_is_started_anew(hive: SystemHive) -> None:
    shown = hive.machine.show("hived", "MainPID", "WatchdogUSec", "Type")
    assert (shown["Type"], shown["WatchdogUSec"]) == ("notify", "1min")
    leader, run = hive.leader("alice"), hive.run_of("hived")
    hive.machine.run("kill", "-STOP", shown["MainPID"])
    # What the watchdog does when it is not fed; a minute is not waited for here.
    hive.machine.run("systemctl", "kill", "--signal=ABRT", "hived")
    hive.machine.run("kill", "-CONT", shown["MainPID"], check=False)
    await hive.brought_back(run)
    await hive.idle("manager", "alice")
    assert hive.leader("alice") == leader


@pytest.mark.usefixtures("harness")
async def test_a_harness_that_dies_is_started_in_its_container(
    hive: SystemHive,
) -> None:
    run = run_of(hive)
    hive.machine.run(
        *("systemctl", "-M", "h-alice", "kill", "--signal=KILL", "hive-agent")
    )
    await answers(hive, "back after the harness died")
    assert run_of(hive) == run


# --- ends -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def peers(hive: SystemHive) -> None:
    """Let alice be a peer from her next start on: hers is the container that ends."""
    hive.machine.agents_run(PEER)


@pytest.mark.usefixtures("peers")
async def test_a_crash_while_hived_is_away_is_told_when_it_is_back(
    hive: SystemHive,
) -> None:
    before = await told(hive)
    run = run_of(hive)
    await asyncio.to_thread(hive.machine.run, "systemctl", "stop", "hived")
    await hive.operator.wait_closed()
    hive.machine.run("kill", "-KILL", str(hive.leader("alice")))
    await hive.another_run(unit_of("alice"), run)
    await hive.reconnect()
    await hive.idle("manager", "alice")
    fresh = await news(hive, before, "alice crashed", "is running again")
    assert len([text for text in fresh if "alice crashed." in text]) == 1
    assert f"(event {run[:12]})" in fresh[0]
    await hive.restart_hived()
    await hive.idle("manager", "alice")
    assert (await told(hive))[len(before) :] == fresh


@pytest.mark.usefixtures("peers")
async def test_a_crash_is_told_once_and_systemd_brings_it_back(
    hive: SystemHive,
) -> None:
    before, run = await told(hive), run_of(hive)
    restarts = int(hive.unit("alice", "NRestarts")["NRestarts"])
    hive.machine.run("kill", "-KILL", str(hive.leader("alice")))
    fresh = await news(hive, before, "alice crashed", "ends with", "is running again")
    first, log, last = fresh
    assert first.startswith("alice crashed. Its container exited with code 1.")
    assert f"(event {run[:12]})" in first
    assert f"(event {run[:12]})" in log
    assert 1 < len(log.splitlines()) <= 21
    assert last == "alice is running again and healthy."
    assert int(hive.unit("alice", "NRestarts")["NRestarts"]) == restarts + 1
    await answers(hive, "back after a crash")
    assert (await hive.agent("alice")).problem is None


@pytest.mark.usefixtures("peers")
async def test_crashes_are_noticed_after_dbus_was_away(hive: SystemHive) -> None:
    before = await told(hive)
    hive.machine.run("systemctl", "restart", "dbus.service")
    hive.machine.run("kill", "-KILL", str(hive.leader("alice")))
    fresh = await news(hive, before, "alice crashed", "is running again")
    assert len([text for text in fresh if "alice crashed." in text]) == 1


@pytest.mark.usefixtures("peers")
async def test_a_killed_nspawn_is_one_crash(hive: SystemHive) -> None:
    before = await told(hive)
    shown = hive.unit("alice", "InvocationID", "MainPID")
    hive.machine.run("kill", "-KILL", shown["MainPID"])
    fresh = await news(hive, before, "alice crashed", "is running again")
    about = [text for text in fresh if f"(event {shown['InvocationID'][:12]})" in text]
    assert len([text for text in about if "alice crashed." in text]) == 1
    assert fresh[-1] == "alice is running again and healthy."
    await answers(hive, "back after nspawn was killed")


@pytest.mark.usefixtures("peers")
async def test_a_wedged_container_is_recovered(hive: SystemHive) -> None:
    """A killed nspawn may leave a machine that its next starts fail at; or may not.

    So here systemd is told not to try at all.
    """
    before = await told(hive)
    never = f"/run/systemd/system/{unit_of('alice')}.d/99-never.conf"
    hive.machine.write(never, "[Service]\nRestart=no\n")
    hive.machine.run("systemctl", "daemon-reload")
    try:
        main = hive.unit("alice", "MainPID")["MainPID"]
        hive.machine.run("kill", "-KILL", main)
        parts = (
            "alice crashed.",
            "is no longer restarted automatically",
            "is running again",
        )
        fresh = await news(hive, before, *parts)
    finally:
        hive.machine.run("rm", never)
        hive.machine.run("systemctl", "daemon-reload")
    for part in parts:
        assert len([text for text in fresh if part in text]) == 1
    assert "killed by SIGKILL" in fresh[0]
    assert all(_EVENT.search(text) for text in fresh[:-1])
    await answers(hive, "back after a wedge")


@pytest.mark.usefixtures("peers")
async def test_a_power_off_inside_is_told_and_stays(hive: SystemHive) -> None:
    before = await told(hive)
    await asyncio.to_thread(
        hive.machine.run, "machinectl", "poweroff", "h-alice", check=False
    )
    (text,) = await news(hive, before, "alice stopped")
    assert "shut down, or was stopped from outside" in text
    agent = await hive.agent("alice")
    assert agent.state is AgentState.STOPPED
    assert hive.unit("alice", "ActiveState") == {"ActiveState": "inactive"}
    await started(hive)
    assert (await told(hive))[len(before) :] == [text]


@pytest.mark.usefixtures("peers")
async def test_a_reboot_inside_is_no_crash(hive: SystemHive) -> None:
    before, run = await told(hive), run_of(hive)
    hive.machine.run("machinectl", "reboot", "h-alice")
    await hive.another_run(unit_of("alice"), run)
    await answers(hive, "back after a reboot")
    assert await told(hive) == before


@pytest.mark.usefixtures("peers")
async def test_a_stopped_agent_stays_so_over_a_restart_of_hived(
    hive: SystemHive,
) -> None:
    before = await told(hive)
    stopped = await hive.operator.call(STOP, AgentParams(agent="alice"))
    assert (await hive.operation(stopped.operation)).error is None
    assert hive.unit("alice", "ActiveState")["ActiveState"] == "inactive"
    await hive.restart_hived()
    await hive.idle("manager")
    assert (await hive.agent("alice")).state is AgentState.STOPPED
    assert await told(hive) == before
    await started(hive)
