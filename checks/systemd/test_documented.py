"""The documented commands for an operator of a NixOS host, unchanged."""

import asyncio
import re
from pathlib import Path
from typing import Final

import pytest

from checks.kits.host.hive import AGENTS
from checks.systemd.hive import PORT, STATE, connected, install
from checks.systemd.machine import Machine

pytestmark = [pytest.mark.asyncio, pytest.mark.needs("nspawn")]

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


async def test_a_hive_is_restored_and_removed_as_the_documents_say(
    fresh_machine: Machine,
) -> None:
    machine = fresh_machine
    config = install(machine, AGENTS)
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
