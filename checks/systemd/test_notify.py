"""hive-notify as on NixOS: with its hardening it can send and see nothing else."""

import pytest

from checks.kits.host.push import Device
from checks.systemd.hive import IDS, RUNTIME, STATE, SystemHive
from checks.systemd.notify_sink import GOT, PUSH_PORT, PUSHED
from pyglue.api import operator as api
from pyglue.api.approvals import DenyParams
from pyglue.api.common import NoParams
from pyglue.api.push import PushRemoveParams

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nspawn"),
]


def pid(hive: SystemHive) -> str:
    shown = hive.machine.show("hive-notify", "ActiveState", "MainPID", "NRestarts")
    assert (shown["ActiveState"], shown["NRestarts"]) == ("active", "0")
    return shown["MainPID"]


async def test_it_runs_as_its_own_user_and_reaches_nothing_of_the_hive(
    hive: SystemHive,
) -> None:
    proc = f"/proc/{pid(hive)}"
    status = hive.machine.run("cat", f"{proc}/status").out
    assert set(status.partition("\nUid:")[2].split()[:4]) == {str(IDS.notify)}
    groups = set(status.partition("\nGroups:")[2].partition("\n")[0].split())
    assert groups <= {str(IDS.notify)}
    for path in (STATE, f"{RUNTIME}/agents"):
        mode = hive.machine.run("stat", "-c", "%a", f"{proc}/root{path}").out
        assert mode.strip() == "0", path
    # A hived that was started again has made these anew, with their own permissions.
    user = ("setpriv", f"--reuid={IDS.notify}", f"--regid={IDS.notify}")
    for name in ("operator.sock", "relay.sock", "egress.sock"):
        writable = ("test", "-w", f"{RUNTIME}/{name}")
        inside = ("nsenter", "--mount", "--target", proc.rpartition("/")[2])
        refused = hive.machine.run(
            *inside, *user, "--clear-groups", *writable, check=False
        )
        assert refused.code == 1, name
    urls = f"{proc}/root/run/credentials/hive-notify.service/urls"
    assert "json://" in hive.machine.run("cat", urls).out


async def test_a_pending_approval_is_told_outside(hive: SystemHive) -> None:
    proposal = await hive.propose("alice", '{ hyperhive.description = "told"; }')
    got = hive.machine.root / GOT.lstrip("/")
    wanted = f"Approval {proposal.approval} of alice is pending"

    async def came() -> bool | None:
        return True if got.exists() and wanted in got.read_text() else None

    await hive.until(came, "a notification", every=0.2)
    await hive.operator.call(
        api.DENY, DenyParams(id=proposal.approval, reason="It was only a test.")
    )
    hive.git("alice", "reset", "-q", "--hard", "HEAD~1")
    owner = f"{IDS.agent}:{IDS.agent}"
    hive.machine.run("chown", "-R", owner, f"{STATE}/agents/alice/config")


async def test_a_browser_is_notified_through_the_fences(hive: SystemHive) -> None:
    device = Device(auth=b"s" * 16)
    endpoint = f"https://127.0.0.1:{PUSH_PORT}/send/1"
    made = await hive.operator.call(api.PUSH_SUBSCRIBE, device.subscription(endpoint))
    await hive.operator.call(api.NOTIFY_TEST, NoParams())
    pushed = hive.machine.root / PUSHED.lstrip("/")

    async def came() -> bool | None:
        return True if pushed.exists() else None

    try:
        await hive.until(came, "a push", every=0.2)
        assert device.note(pushed.read_bytes())["path"] == "/notifications"
        kept = hive.machine.run("stat", "-c", "%a %u", f"{STATE}/web-push.json").out
        assert kept == "600 0\n"
    finally:
        await hive.operator.call(api.PUSH_REMOVE, PushRemoveParams(id=made.id))
