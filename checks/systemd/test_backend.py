"""Containers as systemd runs them: what ends, what comes back, and what is told."""

import asyncio
import re
from typing import Final

import pytest

from checks.hive_kit import script
from checks.systemd.hive import SystemHive
from pyglue.api import operator as api
from pyglue.api.common import AgentState
from pyglue.api.manager import START, STOP, AgentParams
from pyglue.host.backends.nixos_files import unit_of

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nspawn"),
]

_EVENT: Final = re.compile(r"\(event [0-9a-f]{12}\)")
_TRY: Final = """
import json, os
def attempt(what):
    try:
        what()
        return None
    except OSError as error:
        return error.strerror
"""


async def told(hive: SystemHive) -> list[str]:
    """Return what the hive told the manager of ends and starts, oldest first."""
    flow = await hive.operator.call(api.MESSAGES, api.MessagesParams(limit=200))
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
    return hive.unit("alice", "InvocationID")["InvocationID"]


async def answers(hive: SystemHive, text: str) -> None:
    send = {"tool": "mcp__hive__send", "input": {"to": "operator", "body": text}}
    await hive.send("alice", script(send, {"text": "done"}))
    await hive.answer("alice", text)


# --- what is bound --------------------------------------------------------------------


async def test_root_inside_is_nobody_outside(hive: SystemHive) -> None:
    look = _TRY + (
        "print(json.dumps([open('/proc/self/uid_map').read().split(),"
        "os.stat('/run/hive/hive.sock').st_uid, os.stat('/state').st_uid,"
        "attempt(lambda: open('/run/hive/x', 'w')),"
        "attempt(lambda: os.unlink('/run/hive/hive.sock')),"
        "os.listdir('/nix/var/nix/profiles'),"
        "os.stat('/nix/var/nix/daemon-socket').st_mode & 0o777]))"
    )
    found = hive.inside("alice", look)
    (first, base, count), socket, state, *rest = found
    assert (first, count) == ("0", "65536")
    assert int(base) >= 65536
    assert (socket, state) == (0, hive.local.config.ids.agent)
    assert rest == ["Read-only file system", "Read-only file system", [], 0]


async def test_root_inside_cannot_move_what_is_bound(hive: SystemHive) -> None:
    look = _TRY + (
        "print(json.dumps([attempt(lambda: os.rename(*names)) for names in ("
        "('/agents/alice/state', '/agents/alice/gone'), ('/agents/alice', '/agents/x'))"
        "] + [attempt(lambda: os.symlink('/etc', '/agents/evil'))]))"
    )
    assert None not in hive.inside("manager", look)


async def test_a_set_user_id_file_of_a_container_is_nothing_outside(
    hive: SystemHive,
) -> None:
    make = (
        "import json, os, shutil\n"
        "for place in ('/state/suid', '/session/suid'):\n"
        "    shutil.copy('/usr/bin/id', place); os.chmod(place, 0o4755)\n"
        "os.chmod('/session', 0o755); print(json.dumps(None))"
    )
    hive.inside("alice", make)
    home = "/var/lib/hyperhive"
    for place in (f"{home}/agents/alice/state", f"{home}/private/alice/session"):
        # A shell between: setpriv itself still has its capabilities.
        done = hive.machine.run(
            *("setpriv", "--reuid=1234", "--regid=1234", "--clear-groups"),
            *("sh", "-c", f"{place}/suid -u"),
            check=False,
        )
        assert (done.code, done.out) == (126, "")
        hive.machine.run("rm", f"{place}/suid")
    flags = hive.machine.run("findmnt", "-no", "OPTIONS", f"{home}/agents").out
    assert {"nosuid", "nodev"} <= set(flags.strip().split(","))


# --- hived goes and comes -------------------------------------------------------------


@pytest.mark.parametrize("how", ["restart_hived", "kill_hived"])
async def test_containers_outlive_hived(hive: SystemHive, how: str) -> None:
    run = run_of(hive)
    before = await told(hive)
    await getattr(hive, how)()
    await hive.idle("manager", "alice")
    await answers(hive, f"after {how}")
    assert run_of(hive) == run
    assert await told(hive) == before


async def test_a_crash_while_hived_is_away_is_told_when_it_is_back(
    hive: SystemHive,
) -> None:
    before = await told(hive)
    run = run_of(hive)
    hive.machine.run("systemctl", "stop", "hived")
    hive.machine.run("kill", "-KILL", str(hive.leader("alice")))
    await until_another_run(hive, run)
    await hive.reconnect()
    await hive.idle("manager", "alice")
    fresh = await news(hive, before, "alice crashed", "runs again")
    assert len([text for text in fresh if "alice crashed" in text]) == 1
    assert f"(event {run[:12]})" in fresh[0]


async def until_another_run(hive: SystemHive, run: str) -> None:
    """Wait for systemd's own restart; it has no event that a test can wait for."""
    wait = (
        'while [ "$(systemctl show -P InvocationID $0)" = "$1" ] '
        "|| ! systemctl is-active -q $0; do sleep 0.1; done"
    )
    argv = ("sh", "-c", wait, unit_of("alice"), run)
    await asyncio.to_thread(hive.machine.run, *argv)


# --- ends -----------------------------------------------------------------------------


async def test_a_crash_is_told_once_and_systemd_brings_it_back(
    hive: SystemHive,
) -> None:
    before, run = await told(hive), run_of(hive)
    restarts = int(hive.unit("alice", "NRestarts")["NRestarts"])
    hive.machine.run("kill", "-KILL", str(hive.leader("alice")))
    fresh = await news(hive, before, "alice crashed", "ends with", "runs again")
    first, log, last = fresh
    assert first.startswith("alice crashed. Its container ended with exit code 1.")
    assert f"(event {run[:12]})" in first
    assert f"(event {run[:12]})" in log
    assert 1 < len(log.splitlines()) <= 21
    assert last == "alice runs again and is well."
    assert int(hive.unit("alice", "NRestarts")["NRestarts"]) == restarts + 1
    await answers(hive, "back after a crash")
    assert (await hive.agent("alice")).problem is None


async def test_crashes_are_noticed_after_dbus_was_away(hive: SystemHive) -> None:
    before = await told(hive)
    hive.machine.run("systemctl", "restart", "dbus.service")
    hive.machine.run("kill", "-KILL", str(hive.leader("alice")))
    fresh = await news(hive, before, "alice crashed", "runs again")
    assert len([text for text in fresh if "alice crashed" in text]) == 1


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
        parts = ("alice crashed", "does not come back by itself", "runs again")
        fresh = await news(hive, before, *parts)
    finally:
        hive.machine.run("rm", never)
        hive.machine.run("systemctl", "daemon-reload")
    for part in parts:
        assert len([text for text in fresh if part in text]) == 1
    assert "killed by SIGKILL" in fresh[0]
    assert all(_EVENT.search(text) for text in fresh[:-1])
    await answers(hive, "back after a wedge")


async def test_a_power_off_inside_is_told_and_stays(hive: SystemHive) -> None:
    before = await told(hive)
    await asyncio.to_thread(
        hive.machine.run, "machinectl", "poweroff", "h-alice", check=False
    )
    (text,) = await news(hive, before, "alice stopped")
    assert "powered off, or somebody stopped it" in text
    agent = await hive.agent("alice")
    assert agent.state is AgentState.STOPPED
    params = AgentParams(agent="alice")
    started = await hive.operator.call(START, params)
    assert (await hive.operation(started.operation)).error is None
    await hive.idle("alice")


async def test_a_reboot_inside_is_no_crash(hive: SystemHive) -> None:
    before, run = await told(hive), run_of(hive)
    hive.machine.run("machinectl", "reboot", "h-alice")
    await until_another_run(hive, run)
    await answers(hive, "back after a reboot")
    assert await told(hive) == before


async def test_a_harness_that_dies_is_started_in_its_container(
    hive: SystemHive,
) -> None:
    run = run_of(hive)
    hive.machine.run(
        *("systemctl", "-M", "h-alice", "kill", "--signal=KILL", "hive-agent")
    )
    await answers(hive, "back after the harness died")
    assert run_of(hive) == run


async def test_a_stopped_agent_stays_so_over_a_restart_of_hived(
    hive: SystemHive,
) -> None:
    before = await told(hive)
    params = AgentParams(agent="alice")
    stopped = await hive.operator.call(STOP, params)
    assert (await hive.operation(stopped.operation)).error is None
    assert hive.unit("alice", "ActiveState")["ActiveState"] == "inactive"
    await hive.restart_hived()
    await hive.idle("manager")
    assert (await hive.agent("alice")).state is AgentState.STOPPED
    assert await told(hive) == before
    started = await hive.operator.call(START, params)
    assert (await hive.operation(started.operation)).error is None
    await hive.idle("alice")
