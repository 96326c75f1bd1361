"""The documented commands for an operator of a NixOS host, unchanged.

One host is for all of them: the last test removes its hive.
"""

import asyncio
import re
from pathlib import Path
from typing import Final

import pytest

from checks.kits.host.hive import AGENTS, script
from checks.systemd.hive import PORT, STATE, SystemHive, connected, install
from checks.systemd.machine import Machine
from pyglue.api import operator as api
from pyglue.api.common import NoParams
from pyglue.api.doctor import CheckState
from pyglue.config import HiveConfig

pytestmark = [pytest.mark.asyncio, pytest.mark.needs("nspawn")]

HIVE: Final = ("-m", "pyglue.cli.hive")
REBUILD: Final = (*HIVE, "doctor", "--repair", "--from-git", "--yes", "--state", STATE)
DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
_TAB: Final = f"""import socket
try:
    socket.create_connection(("127.0.0.1", {PORT}))
    print("reached")
except ConnectionRefusedError:
    print("refused")
"""
"""What a browser's open tab does all the time."""


def block(page: str, heading: str) -> list[str]:
    """Return the lines of the first block of commands below a heading."""
    text = (DOCS / page).read_text()
    _, _, below = text.partition(f"{heading}\n")
    found = re.search(r"^```\n(.*?)^```", below, re.DOTALL | re.MULTILINE)
    assert found is not None, heading
    return [line.partition(" #")[0].strip() for line in found[1].splitlines()]


def typed(machine: Machine, line: str) -> str:
    """Run a line as a shell at /root does."""
    return machine.run("sh", "-c", f"cd /root && {line}").out


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


@pytest.fixture(scope="module")
def config(own_machine: Machine) -> HiveConfig:
    """A hive with a manager and alice, on a host that is theirs to spoil."""
    return install(own_machine, AGENTS)


async def test_a_hive_whose_database_is_gone_is_rebuilt(
    own_machine: Machine, config: HiveConfig
) -> None:
    """By the commands of the operator guide."""
    machine = own_machine
    store = machine.root / STATE.lstrip("/") / "hive.db"
    async with connected(machine, config) as hive:
        await hive.idle(*AGENTS)
        nix = '{ hyperhive.description = "kept in git"; }'
        assert (await hive.approve(await hive.propose("alice", nix))).error is None
        await hive.idle(*AGENTS)
        before, owner = await deployed(hive), store.stat()

        await asyncio.to_thread(machine.run, "systemctl", "stop", "hived")
        await hive.operator.wait_closed()
        for part in store.parent.glob("hive.db*"):
            part.unlink()
        start = ("systemctl", "start", "hived")
        refused = await asyncio.to_thread(machine.run, *start, check=False)
        assert refused.code != 0
        log = machine.run("journalctl", "-u", "hived", "-o", "cat").out
        assert f"The store {STATE}/hive.db is missing" in log
        assert "hive doctor --repair --from-git" in log
        assert not store.exists()

        await asyncio.to_thread(machine.run, "systemctl", "stop", "hived")
        done = await asyncio.to_thread(machine.python, *REBUILD)
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
        verified = await asyncio.to_thread(machine.python, *HIVE, "audit", "verify")
        assert "The audit log is intact" in verified.out


async def test_a_hive_is_restored_and_removed_as_the_documents_say(
    own_machine: Machine, config: HiveConfig
) -> None:
    machine = own_machine
    (backup,) = block("upgrade.md", "## What a backup needs")
    stop, *restore = block("upgrade.md", "## Restoring")
    async with connected(machine, config) as hive:
        await hive.idle(*AGENTS)
        await asyncio.to_thread(typed, machine, backup)
        await asyncio.to_thread(typed, machine, stop)
        await hive.operator.wait_closed()
        assert machine.python("-c", _TAB).out == "refused\n"
        for line in restore:
            said = await asyncio.to_thread(typed, machine, line)
            if line == "hive audit verify":
                assert "The audit log is intact" in said
        await hive.reconnect()
        await hive.idle(*AGENTS)

    for line in block("install.md", "### Removing it"):
        await asyncio.to_thread(typed, machine, line)
    assert machine.python("-c", _TAB).out == "refused\n"
    assert machine.run("nixos-container", "list").out == ""
    left = machine.run("sh", "-c", f"ls {STATE} /nix/var/nix/profiles/per-container")
    assert "h-" not in left.out
