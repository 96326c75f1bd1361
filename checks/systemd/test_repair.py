"""``hive doctor --repair`` on NixOS: a container without an agent is removed."""

import asyncio
from typing import Final

import pytest

from checks.systemd.hive import STATE, SystemHive
from pyglue.api import operator as api
from pyglue.api.archive import RepairResult
from pyglue.api.common import NoParams
from pyglue.api.doctor import Check
from pyglue.api.lifecycle import PurgeParams
from pyglue.api.manager import SpawnParams
from pyglue.host.backends.nixos_files import container_of, unit_of

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nspawn"),
]

_FORGET: Final = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1], timeout=60) as store:
    store.execute("DELETE FROM agent WHERE name = ?", sys.argv[2:])
    store.execute("DELETE FROM approval WHERE agent = ?", sys.argv[2:])
"""


async def broken(hive: SystemHive) -> list[Check]:
    found = await hive.operator.call(api.DOCTOR, NoParams())
    return [check for check in found.checks if check.repair is not None]


async def repaired(hive: SystemHive) -> RepairResult:
    return await hive.operator.call(api.REPAIR, NoParams())


async def lose(hive: SystemHive, name: str) -> None:
    """Let the store forget an agent that runs, as one from an older backup has."""
    await asyncio.to_thread(hive.machine.run, "systemctl", "stop", "hived")
    await hive.operator.wait_closed()
    await asyncio.to_thread(
        hive.machine.python, "-c", _FORGET, f"{STATE}/hive.db", name
    )
    await hive.reconnect()


async def test_a_container_without_an_agent_is_removed(hive: SystemHive) -> None:
    proposal = await hive.operator.call(api.SPAWN, SpawnParams(name="carl"))
    assert (await hive.approve(proposal)).error is None
    await hive.idle("carl")
    note = hive.local.config.layout.agent_state("carl") / "note"
    note.write_text("kept")
    await lose(hive, "carl")
    root = hive.machine.root
    conf = root / f"etc/nixos-containers/{container_of('carl')}.conf"
    tree = root / f"var/lib/nixos-containers/{container_of('carl')}"
    shown = hive.machine.show(unit_of("carl"), "ActiveState")
    assert (conf.exists(), tree.exists(), shown["ActiveState"]) == (
        True,
        True,
        "active",
    )

    said = {check.message for check in await broken(hive)}
    assert any("The container h-carl of this hive exists" in one for one in said)
    done = await repaired(hive)
    assert done.failed == ()
    assert any("stop and remove the container of carl" in one for one in done.done)
    shown = hive.machine.show(unit_of("carl"), "ActiveState")
    assert (conf.exists(), tree.exists(), shown["ActiveState"]) == (
        False,
        False,
        "inactive",
    )
    listed = hive.machine.run("machinectl", "list", "--no-legend").out
    assert container_of("carl") not in listed

    while await broken(hive):  # its files come next: they are kept, and can be purged
        assert (await repaired(hive)).failed == ()
    assert note.read_text() == "kept"
    assert not hive.local.config.layout.run("carl").exists()
    purge = PurgeParams(agent="carl", confirm="carl")
    operation = (await hive.operator.call(api.PURGE, purge)).operation
    assert (await hive.operation(operation)).error is None
    await hive.idle("manager", "alice")
    assert await broken(hive) == []
