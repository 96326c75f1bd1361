"""A harness whose CLI stays warm, in this process, for the tests of warm turns."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from checks.kits.harness.bench import FakeHive, script
from checks.kits.harness.process import Home, harness_here, model_here
from checks.kits.patience import PATIENCE_S
from checks.kits.process.processes import state
from pyglue.api.common import AgentState
from pyglue.api.turns import TurnEndParams


@dataclass
class Bed:
    """A hive that lets the CLI stay, and a harness at work in it."""

    home: Home
    hive: FakeHive

    async def turn(self, *steps: dict[str, Any]) -> TurnEndParams:
        """Have a turn of these steps, and return how it ended."""
        done = len(self.hive.ends)
        await self.hive.mail(script(*steps or ({"text": "done"},)))
        await self.hive.until(lambda: len(self.hive.ends) > done)
        return self.hive.ends[done]

    def clis(self) -> list[int]:
        """Return the processes that run the CLI for this agent."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes().split(b"\0")
                if f"{self.home.session}/".encode() in b"\0".join(line) and (
                    b"--verbose" in line
                ):
                    found.append(int(entry.name))
        return found

    @property
    def cli(self) -> int:
        """The process of the one CLI."""
        (pid,) = self.clis()
        return pid

    async def until(self, condition: Any) -> None:
        """Look until it is so: of a process's end no event tells."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await asyncio.sleep(0.02)

    async def paused(self) -> int:
        """Return the CLI's process once it is stopped."""
        pid = self.cli
        await self.until(lambda: state(pid) == "T")
        return pid

    def transcript(self) -> Path:
        """Return the file of the session."""
        (found,) = self.home.session.glob("projects/*/*.jsonl")
        return found


@contextlib.asynccontextmanager
async def bed(tmp_path: Path, **manifest: Any) -> AsyncIterator[Bed]:
    """Run a harness, its model and hived's side."""
    async with laid(tmp_path, **manifest) as it, harness_here(it.home):
        yield it


@contextlib.asynccontextmanager
async def laid(tmp_path: Path, **manifest: Any) -> AsyncIterator[Bed]:
    """Give all but a harness."""
    home = Home(tmp_path / "bob")
    home.load(**{"keepWarm": 300} | manifest)
    async with (
        model_here(home.run / "model.sock"),
        FakeHive(home.run / "hive.sock", keeps_warm=True) as hive,
    ):
        yield Bed(home, hive)


def shared_bed(**manifest: Any) -> Any:
    """Return the fixture of one harness for a module: ``at_work = shared_bed()``.

    Its tests ask for ``it``, run in the module's loop, and leave the harness idle. The
    first turn of a test may find a warm CLI.
    """

    @pytest_asyncio.fixture(scope="module", loop_scope="module")
    async def at_work(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bed]:
        async with bed(tmp_path_factory.mktemp("bed"), **manifest) as it:
            await it.hive.until(lambda: it.hive.said(AgentState.IDLE))
            yield it

    return at_work
