"""Containers that end, and a hived that does: the right events, once each."""

import asyncio
import os

import pytest

from checks.hive_kit import script
from checks.systemd.hive import SystemHive
from pyglue.api import operator as api
from pyglue.api.common import AgentState
from pyglue.api.manager import START, AgentParams
from pyglue.host.backends.nixos_container import container_of, unit_of

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nspawn"),
]


def said(text: str, **step: object) -> str:
    """Return a message that makes an agent tell the operator ``text``."""
    send = {"tool": "mcp__hive__send", "input": {"to": "operator", "body": text}}
    return script({**send, **step}, {"text": "done"})


def notices(hive: SystemHive, agent: str, since: int) -> list[str]:
    """Return what was told of an agent since the event with this index."""
    told = [e for e in hive.events[since:] if (e.kind, e.agent) == ("notice", agent)]
    return [event.data["what"] for event in told]


async def came_back(hive: SystemHive, agent: str, before: str) -> None:
    """Wait until another run of the container has a harness that is well."""

    async def look() -> bool | None:
        run = hive.unit(agent, "InvocationID")["InvocationID"]
        state = (await hive.agent(agent)).state
        return True if run not in ("", before) and state is AgentState.IDLE else None

    await hive.until(look, f"{agent} came back")


async def answers(hive: SystemHive, agent: str, text: str) -> None:
    """See that an agent works."""
    await hive.send(agent, said(text))
    await hive.answer(agent, text)


async def mailed(hive: SystemHive, agent: str, part: str) -> list[str]:
    """Return the system's messages to the manager about an agent, newest first."""
    flow = await hive.operator.call(api.MESSAGES, api.MessagesParams(agent="manager"))
    return [
        message.body
        for message in flow.messages
        if message.sender == "system" and f"{agent} {part}" in message.body
    ]


async def test_kill_of_the_leader(hive: SystemHive) -> None:
    run = hive.unit("alice", "InvocationID")["InvocationID"]
    since = len(hive.events)
    hive.machine.run("kill", "-9", str(hive.leader("alice")))
    await came_back(hive, "alice", run)
    await answers(hive, "alice", "back after its leader was killed")
    assert notices(hive, "alice", since) == ["crashed", "started"]
    told = await mailed(hive, "alice", "crashed")
    assert len([body for body in told if run[:12] in body]) == 1


async def test_kill_of_nspawn(hive: SystemHive) -> None:
    shown = hive.unit("alice", "InvocationID", "MainPID")
    since = len(hive.events)
    hive.machine.run("kill", "-9", shown["MainPID"])
    await came_back(hive, "alice", shown["InvocationID"])
    await answers(hive, "alice", "back after nspawn was killed")
    keys = [e.data.get("key") for e in hive.events[since:] if e.kind == "notice"]
    assert keys.count(f"crashed:alice:{shown['InvocationID']}") == 1
    told = notices(hive, "alice", since)
    assert (told[0], told[-1], told.count("started")) == ("crashed", "started", 1)


async def test_reboot_inside_is_no_crash(hive: SystemHive) -> None:
    run = hive.unit("alice", "InvocationID")["InvocationID"]
    since = len(hive.events)
    hive.machine.run("systemctl", "-M", container_of("alice"), "reboot")
    await came_back(hive, "alice", run)
    await answers(hive, "alice", "back after a reboot")
    assert "crashed" not in notices(hive, "alice", since)
    assert "stopped" not in notices(hive, "alice", since)


async def test_poweroff_inside_is_told_and_stays(hive: SystemHive) -> None:
    since = len(hive.events)
    hive.machine.run("systemctl", "-M", container_of("alice"), "poweroff")

    async def look() -> bool | None:
        return True if "stopped" in notices(hive, "alice", since) else None

    await hive.until(look, "the notice that alice stopped")
    assert (await hive.agent("alice")).state is AgentState.STOPPED
    assert hive.unit("alice", "ActiveState") == {"ActiveState": "inactive"}
    number = (await hive.operator.call(START, AgentParams(agent="alice"))).operation
    assert (await hive.operation(number)).error is None
    await answers(hive, "alice", "back after it was powered off")
    assert notices(hive, "alice", since).count("stopped") == 1
    assert "crashed" not in notices(hive, "alice", since)


# --- hived ----------------------------------------------------------------------------


async def test_containers_outlive_a_restart_of_hived(hive: SystemHive) -> None:
    leaders = [hive.leader(name) for name in ("manager", "alice")]
    since = len(hive.events)
    await hive.restart_hived()
    await hive.idle("manager", "alice")
    assert [hive.leader(name) for name in ("manager", "alice")] == leaders
    await answers(hive, "alice", "the same alice")
    assert notices(hive, "alice", since) == []


async def test_a_killed_hived_loses_no_message(hive: SystemHive) -> None:
    leader = hive.leader("alice")
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
    assert hive.leader("alice") == leader


async def test_a_crash_without_hived_is_told_once(hive: SystemHive) -> None:
    since = len(hive.events)
    await asyncio.to_thread(hive.machine.run, "systemctl", "stop", "hived")
    await hive.operator.wait_closed()
    run = hive.unit("alice", "InvocationID")["InvocationID"]
    hive.machine.run("kill", "-9", str(hive.leader("alice")))
    # By systemd alone: to start it by hand would reset what it counts.
    again = (
        f"until [ $(systemctl show -P InvocationID {unit_of('alice')}) != {run} ] &&"
        f" systemctl --quiet is-active {unit_of('alice')}; do sleep 0.1; done"
    )
    hive.machine.run("sh", "-c", again)
    await hive.reconnect()
    await came_back(hive, "alice", run)
    await answers(hive, "alice", "back with hived")
    assert notices(hive, "alice", since).count("crashed") == 1
    await hive.restart_hived()
    await hive.idle("manager", "alice")
    assert notices(hive, "alice", since).count("crashed") == 1


async def test_a_hived_that_hangs_is_started_anew(hive: SystemHive) -> None:
    shown = hive.machine.show("hived", "MainPID", "WatchdogUSec", "Type")
    assert (shown["Type"], shown["WatchdogUSec"]) == ("notify", "1min")
    leader = hive.leader("alice")
    hive.machine.run("kill", "-STOP", shown["MainPID"])
    # What the watchdog does when it is not fed; a minute is not waited for here.
    hive.machine.run("systemctl", "kill", "--signal=ABRT", "hived")
    hive.machine.run("kill", "-CONT", shown["MainPID"], check=False)
    await hive.operator.wait_closed()
    await hive.reconnect()
    await hive.idle("manager", "alice")
    assert hive.leader("alice") == leader


# --- logs -----------------------------------------------------------------------------


async def test_the_journal_of_a_container_is_read_and_followed(
    hive: SystemHive,
) -> None:
    mark = f"hive-test-mark-{os.getpid()}"
    unit = ("systemd-run", "--quiet", "--wait", "-M", container_of("alice"))
    shown = hive.machine.run("hive", "logs", "alice").out
    assert "Started hive-agent" in shown or "hive" in shown
    follow = ("timeout", "60", "hive", "logs", "hive", "--lines", "5")
    assert "hived" in hive.machine.run(*follow).out
    hive.machine.run(*unit, "--unit=hive-mark", "/usr/bin/logger", mark)
    assert mark in hive.machine.journal("-M", container_of("alice"), "-n", "50")
    machine = hive.machine.run("hive", "logs", "alice", "--unit", "machine").out
    assert "h-alice" in machine
