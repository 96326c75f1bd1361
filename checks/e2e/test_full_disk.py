"""A hive whose disk an agent has filled, and keeps filling: the operator's commands.

The state directory is a small file system of its own; whatever becomes free on it is
taken again at once, as an agent with a loop would.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from checks.kits.cli import run
from checks.kits.cli.run import HIVE, Said
from checks.kits.host.hive import Hive, running_hive, script
from checks.kits.patience import PATIENCE_S
from checks.kits.store.disk import MIB, fill, filling, small_disk
from pyglue.api import operator as api
from pyglue.api.common import AgentState, NoParams
from pyglue.config import DiskConfig

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("root", "nix", "git", "bwrap"),
]

NIX = """{ ... }:
{
  hyperhive.description = "changed";
}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hive(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hive]:
    """Run a hive for the first two tests; alice's state is what fills its disk."""
    room = tmp_path_factory.mktemp("hive")
    disk = DiskConfig(ballast_mib=8, reserve_mib=32)
    with small_disk(room / "state", 320):
        async with running_hive(room, disk=disk, peers=True) as running:
            yield running


def cli(hive: Hive, *words: str) -> Said:
    return run.typed(*words, "--state", hive.state)


async def state(hive: Hive, name: str, wanted: AgentState) -> None:
    async def look() -> bool | None:
        return True if (await hive.agent(name)).state is wanted else None

    await hive.until(look, f"{name} {wanted.value}")


async def test_the_operator_is_never_locked_out(hive: Hive) -> None:
    denied = await hive.propose("alice", NIX)
    await hive.send("alice", script({"text": "slow", "sleep": 120}))
    await state(hive, "alice", AgentState.THINKING)

    full = hive.state / "agents/alice/state/full"
    with filling(full):
        await state(hive, "manager", AgentState.PAUSED)
        status = await hive.operator.call(api.STATUS, NoParams())
        assert any("The disk is full" in text for text in status.warnings)
        assert "The disk is full" in ((await hive.agent("manager")).detail or "")

        for words in (
            ("cancel", "alice"),
            ("pause", "--all"),
            ("resume", "--all"),
            ("send", "alice", "hello"),
            ("login",),
            ("deny", str(denied.approval), "--reason", "no"),
            ("pause", "--all"),
            ("stop", "alice"),
            ("destroy", "alice", "--yes"),
        ):
            said = cli(hive, *words)
            assert said.code == 0, (words, said)
        doctor = await run.python(HIVE, "doctor", env={"HIVE_STATE": str(hive.state)})
        assert "The disk is full" in doctor.out

    said = cli(hive, "resume", "--all")
    assert said.code == 0, said
    await state(hive, "manager", AgentState.IDLE)
    verified = cli(hive, "audit", "verify")
    assert verified.code == 0, verified
    whats = cli(hive, "audit", "export").out
    for what in ("pause_all", "resume_all", "cancel", "denied", "stop", "disk_full"):
        assert what in whats, whats


async def test_a_purge_makes_room(hive: Hive) -> None:
    """Of alice, whom the test before has destroyed."""
    full = hive.state / "agents/alice/state/full"
    full.write_bytes(bytes(MIB))
    with filling(hive.state / "eaten"):
        said = cli(hive, "purge", "alice", "--yes")
        assert said.code == 0, said
    assert not full.exists()


async def test_a_hive_starts_on_a_full_disk(tmp_path: Path) -> None:
    disk = DiskConfig(ballast_mib=8, reserve_mib=32)
    with small_disk(tmp_path / "state", 320) as state_dir:
        async with running_hive(tmp_path, disk=disk, peers=True):
            pass
        fill(state_dir / "full")
        async with running_hive(tmp_path, disk=disk, wait=False, peers=True) as hive:
            status = await hive.operator.call(api.STATUS, NoParams())
            assert any("The disk is full" in text for text in status.warnings)
            (state_dir / "full").unlink()
            await asyncio.wait_for(hive.idle("manager"), PATIENCE_S)
