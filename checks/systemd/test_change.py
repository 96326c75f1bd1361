"""A change and a message where agents are systemd containers."""

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import pytest

from checks.kits.host.hive import script
from checks.systemd.hive import IDS, STATE, SystemHive
from checks.systemd.machine import CHECKED, Machine
from pyglue.api import operator as api
from pyglue.api.approvals import ApprovalState, DenyParams
from pyglue.api.common import NoParams
from pyglue.api.manager import REQUEST_SPAWN, SpawnParams
from pyglue.api.operations import CancelOperationParams, OperationState
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.agents import ports

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nspawn"),
]

PLAIN = '{ hyperhive.description = "%s"; hyperhive.model = "haiku"; }'
SYSTEM = """{ pkgs, ... }: {
  hyperhive.description = "has a service of its own";
  hyperhive.limits.memoryMax = "512M";
  hyperhive.limits.cpuQuota = 50;
  environment.systemPackages = [ pkgs.hello ];
  systemd.services.own = {
    wantedBy = [ "multi-user.target" ];
    serviceConfig.ExecStart = "/usr/bin/sleep infinity";
  };
}
"""


@pytest.fixture
def checked(machine: Machine) -> Iterator[None]:
    """Let containers run the whole harness, with its check of the CLI."""
    with machine.harness(CHECKED):
        yield


def said(text: str) -> str:
    """Return a message that makes an agent tell the operator ``text``."""
    send = {"tool": "mcp__hive__send", "input": {"to": "operator", "body": text}}
    return script(send, {"text": "done"})


@pytest.mark.usefixtures("checked")
async def test_a_new_agent_appears_live_in_the_manager(hive: SystemHive) -> None:
    listing = "import json, os; print(json.dumps(sorted(os.listdir('/agents'))))"
    leader = hive.leader("manager")
    assert "bob" not in hive.inside("manager", listing)
    # hived has no network of its own to look for a free port in.
    listen = f"--socket-property=ListenStream=127.0.0.1:{ports.hashed('bob')}"
    hive.machine.run("systemd-run", "--quiet", "--unit=busy", listen, "/bin/true")
    manager = await hive.as_agent("manager")
    proposal = await manager.call(REQUEST_SPAWN, SpawnParams(name="bob"))
    manager.close()
    operation = await hive.approve(proposal)
    assert (operation.state, operation.error) == (OperationState.DONE, None)
    await hive.idle("bob")
    assert "bob" in hive.inside("manager", listing)
    kept = hive.machine.run("cat", f"{STATE}/private/bob/port").out
    assert int(kept) > ports.hashed("bob")
    assert hive.leader("manager") == leader
    await hive.send("bob", said("here is bob"))
    await hive.answer("bob", "here is bob")


@pytest.mark.usefixtures("checked")
async def test_apply_makes_exactly_the_approved_system_run(hive: SystemHive) -> None:
    proposal = await hive.propose("alice", SYSTEM)
    operation = await hive.approve(proposal)
    assert (operation.state, operation.error) == (OperationState.DONE, None)
    await hive.idle("alice")
    agent = await hive.agent("alice")
    assert agent.manifest_sha256 == proposal.manifest_sha256
    look = (
        "import json, os, subprocess; print(json.dumps(["
        "os.path.realpath('/run/current-system'), "
        "os.path.exists('/run/current-system/sw/bin/echo'), "
        "subprocess.run(['systemctl', 'is-active', 'own'], "
        "stdout=-1, text=True).stdout.strip()]))"
    )
    system, has_package, service = hive.inside("alice", look)
    conf = hive.machine.run("cat", "/etc/nixos-containers/h-alice.conf").out
    assert f"SYSTEM_PATH={system}\n" in conf
    assert (has_package, service) == (True, "active")


async def test_a_message_and_its_answer(hive: SystemHive) -> None:
    await hive.send("alice", said("here is alice"))
    await hive.answer("alice", "here is alice")


async def test_the_harness_is_nobody_outside(hive: SystemHive) -> None:
    line = "print(open('/proc/self/uid_map').read().split()[1])"
    base = hive.inside("alice", line)
    assert base >= 65536
    pid = int(
        hive.machine.run(
            *("systemctl", "-M", "h-alice", "show", "hive-agent"),
            *("--property=MainPID", "--value"),
        ).out
    )
    own = f"import os; print(os.stat('/proc/{pid}').st_uid)"
    assert hive.inside("alice", own) == IDS.agent


async def test_limits_are_the_units(hive: SystemHive) -> None:
    shown = hive.unit("alice", "MemoryMax", "CPUQuotaPerSecUSec", "TasksMax")
    assert shown["MemoryMax"] == str(512 * 1024**2)
    assert shown["CPUQuotaPerSecUSec"] == "500ms"
    assert int(shown["TasksMax"]) <= 4096
    without = hive.unit("bob", "MemoryMax", "CPUQuotaPerSecUSec")
    assert set(without.values()) == {"infinity"}


# --- what does not go well ------------------------------------------------------------


async def refused(hive: SystemHive, nix: str) -> tuple[str, dict[str, Any]]:
    """Approve what cannot be deployed; return why, and see that nothing changed."""
    before, leader = await hive.agent("alice"), hive.leader("alice")
    conf = hive.machine.run("cat", "/etc/nixos-containers/h-alice.conf").out
    proposal = await hive.propose("alice", nix)
    operation = await hive.approve(proposal)
    assert operation.state is OperationState.FAILED
    (row, *_) = await hive.approvals("alice")
    assert (row.id, row.state) == (proposal.approval, ApprovalState.FAILED)
    await hive.idle("alice")
    after = await hive.agent("alice")
    assert after.manifest_sha256 == before.manifest_sha256
    assert after.deployed_commit == before.deployed_commit
    assert hive.machine.run("cat", "/etc/nixos-containers/h-alice.conf").out == conf
    assert "Traceback" not in (operation.error or "")
    return operation.error or "", {"same": hive.leader("alice") == leader}


BUILD = """{ pkgs, ... }: {
  environment.systemPackages = [ (pkgs.runCommand "broken-%s" { } ''%s'') ];
}
"""


async def test_a_failing_build_leaves_the_old_system_running(hive: SystemHive) -> None:
    nix = BUILD % (os.getpid(), "echo this is why >&2; exit 3")
    error, container = await refused(hive, nix)
    assert "this is why" in error
    assert container["same"]


async def test_a_hanging_build_ends_in_time(hive: SystemHive) -> None:
    with hive.configured(build_s=3.0):
        await hive.restart_hived()
        await hive.idle("alice")
        error, container = await refused(hive, BUILD % ("slow", "sleep 1000000"))
    assert "3 s" in error
    assert container["same"]
    await hive.restart_hived()
    await hive.idle("manager", "alice", "bob")
    left = hive.machine.run("pgrep", "-f", "sleep 1000000", check=False)
    assert left.out == ""


async def test_a_build_that_the_operator_cancels_ends(hive: SystemHive) -> None:
    async def cancel() -> bool | None:
        newest = (await hive.operator.call(api.OPERATIONS, NoParams())).operations[0]
        if newest.step != "build":
            return None
        left = hive.machine.run("pgrep", "-f", "sleep 2000000", check=False)
        if not left.out:
            return None
        params = CancelOperationParams(id=newest.id, reason="too slow")
        await hive.operator.call(api.CANCEL_OPERATION, params)
        return True

    cancelling = asyncio.create_task(hive.until(cancel, "a build"))
    nix = BUILD % ("cancelled", "echo begun; sleep 2000000")
    error, container = await refused(hive, nix)
    await cancelling
    assert "Cancelled by" in error
    assert "too slow" in error
    assert container["same"]
    left = hive.machine.run("pgrep", "-f", "sleep 2000000", check=False)
    assert left.out == ""


async def test_a_full_disk_at_apply_leaves_the_old_system(hive: SystemHive) -> None:
    confs = "/etc/nixos-containers"
    full = (
        f"cp -a {confs} /run/hive-test/confs && "
        f"mount -t tmpfs -o size=64k,mode=755 tmpfs {confs} && "
        f"cp -a /run/hive-test/confs/. {confs}/ && "
        f"cat /dev/zero > {confs}/filler; true"
    )
    hive.machine.run("sh", "-c", full)
    try:
        changed = SYSTEM.replace("own", "own-changed")
        error, _ = await refused(hive, changed)
        assert "No space left on device" in error
    finally:
        hive.machine.run("umount", confs)
    await hive.send("alice", said("still here"))
    await hive.answer("alice", "still here")
    again = await hive.approve(await hive.propose("alice", PLAIN % "again"))
    assert (again.state, again.error) == (OperationState.DONE, None)


# --- what others left in /etc ---------------------------------------------------------


async def test_a_container_of_somebody_else_is_not_taken(hive: SystemHive) -> None:
    conf = "/etc/nixos-containers/h-carol.conf"
    theirs = "PRIVATE_NETWORK=1\nHOST_ADDRESS=10.1.1.1\n"
    hive.machine.write(conf, theirs)
    manager = await hive.as_agent("manager")
    try:
        proposal = await manager.call(REQUEST_SPAWN, SpawnParams(name="carol"))
        operation = await hive.approve(proposal)
        assert operation.state is OperationState.FAILED
        assert "does not belong to this hive" in (operation.error or "")
    except HiveError as error:  # or it is said before anybody approves
        assert error.code is ErrorCode.NAME_TAKEN
    finally:
        manager.close()
    assert hive.machine.run("cat", conf).out == theirs
    assert (hive.machine.root / "etc/nixos-containers/h-carol.conf").exists()
    hive.machine.run("rm", conf)


async def test_malformed_conf_files_are_written_anew(hive: SystemHive) -> None:
    def conf(agent: str) -> str:
        return f"/etc/nixos-containers/h-{agent}.conf"

    broken = {
        "alice": "PRIVATE_USERS=no\nSYSTEM_PATH=../../x\n",
        "bob": "\0\0\0",
        "manager": "A" * 200_000,
    }
    kept = {name: hive.machine.run("cat", conf(name)).out for name in broken}
    for name, text in {**broken, "zz": ""}.items():
        hive.machine.write(conf(name), text)
    await hive.restart_hived()
    await hive.idle(*broken)
    for name, text in kept.items():
        assert hive.machine.run("cat", conf(name)).out == text
        await hive.send(name, said(f"{name} is well"))
        await hive.answer(name, f"{name} is well")
    hive.machine.run("rm", conf("zz"))


async def test_packs_are_checked_in_a_sandbox_under_the_units_own_fences(
    hive: SystemHive,
) -> None:
    proposal = await hive.propose("alice", PLAIN % "checked in a sandbox")
    deny = DenyParams(id=proposal.approval, reason="Only to see it checked.")
    await hive.operator.call(api.DENY, deny)
    said = hive.machine.journal("--boot")
    assert "checking packs without a sandbox" not in said
