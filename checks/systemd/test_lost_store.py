"""The database is gone, where hived is a unit: the commands of the operator guide."""

import asyncio

import pytest

from checks.kits.host.hive import AGENTS, script
from checks.systemd.hive import STATE, SystemHive, connected, install
from checks.systemd.machine import Machine
from pyglue.api import operator as api
from pyglue.api.common import NoParams
from pyglue.api.doctor import CheckState

pytestmark = [pytest.mark.asyncio, pytest.mark.needs("nspawn")]

HIVE = ("-m", "pyglue.cli.hive")
REBUILD = (*HIVE, "doctor", "--repair", "--from-git", "--yes", "--state", STATE)


async def deployed(hive: SystemHive) -> dict[str, object]:
    found = (await hive.operator.call(api.AGENTS, NoParams())).agents
    return {
        one.name: (one.deployed_approval, one.deployed_commit, one.manifest_sha256)
        for one in found
    }


async def is_well(hive: SystemHive) -> None:
    async def look() -> bool | None:
        checks = (await hive.operator.call(api.DOCTOR, NoParams())).checks
        bad = [one for one in checks if one.state is CheckState.PROBLEM or one.repair]
        return None if bad else True

    await hive.until(look, "a doctor without problems", every=0.5)


async def test_a_hive_whose_database_is_gone_is_rebuilt(fresh_machine: Machine) -> None:
    config = install(fresh_machine, AGENTS)
    store = fresh_machine.root / STATE.lstrip("/") / "hive.db"
    async with connected(fresh_machine, config) as hive:
        await hive.idle(*AGENTS)
        nix = '{ hyperhive.description = "kept in git"; }'
        assert (await hive.approve(await hive.propose("alice", nix))).error is None
        await hive.idle(*AGENTS)
        before, owner = await deployed(hive), store.stat()

        await asyncio.to_thread(fresh_machine.run, "systemctl", "stop", "hived")
        await hive.operator.wait_closed()
        for part in store.parent.glob("hive.db*"):
            part.unlink()
        start = ("systemctl", "start", "hived")
        refused = await asyncio.to_thread(fresh_machine.run, *start, check=False)
        assert refused.code != 0
        log = fresh_machine.run("journalctl", "-u", "hived", "-o", "cat").out
        assert f"The store {STATE}/hive.db is missing" in log
        assert "hive doctor --repair --from-git" in log
        assert not store.exists()

        await asyncio.to_thread(fresh_machine.run, "systemctl", "stop", "hived")
        done = await asyncio.to_thread(fresh_machine.python, *REBUILD)
        assert "alice (approval" in done.out
        made = store.stat()
        assert (made.st_mode, made.st_uid) == (owner.st_mode, owner.st_uid)

        await hive.reconnect()
        await hive.idle(*AGENTS)
        assert await deployed(hive) == before
        found = (await hive.operator.call(api.AGENTS, NoParams())).agents
        assert [one.needs_update for one in found] == [True, True]
        said = {"to": "operator", "body": "still here"}
        await hive.send("alice", script({"tool": "mcp__hive__send", "input": said}))
        await hive.answer("alice", "still here")
        await is_well(hive)
        verified = await asyncio.to_thread(
            fresh_machine.python, *HIVE, "audit", "verify"
        )
        assert "The audit log is intact" in verified.out
