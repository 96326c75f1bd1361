"""A hived that kills itself at chosen steps, and the operations that it interrupts.

``killed_hived`` is the program that runs hived, kills it and starts it again.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from checks.kits.host.hive import Hive, open_operator
from checks.kits.patience import PATIENCE_S
from checks.kits.process.processes import children
from pyglue.api.operations import OperationKind
from pyglue.errors import HiveError
from pyglue.host.archives.importing import ImportHandler
from pyglue.host.changes.deploy import Deploy
from pyglue.host.core.operations import Handler
from pyglue.host.life.destroy import DestroyHandler
from pyglue.host.life.drafts import DraftHandler

MENDING = {
    Deploy: ("revert", "fail"),
    DraftHandler: ("undo",),
    DestroyHandler: ("fail",),
    ImportHandler: ("undo",),
}
"""Steps that come only after a failure."""


@dataclass
class Deaths:
    """The hive, whose hived dies as it is told."""

    hive: Hive
    program: asyncio.subprocess.Process
    plan: Path
    lives: bool = False
    """Whether hived lives, and what it was to do has ended well."""

    async def story(self, plan: dict[str, str]) -> None:
        """Plan the next death of a hived that lives, or else start one."""
        if self.lives:
            self.plan.write_text(json.dumps(plan))
        else:
            await self.next_life(plan)
        self.lives = False

    async def next_life(self, plan: dict[str, str]) -> None:
        """Start hived, to die as planned, and connect."""
        assert self.program.stdin is not None
        self.plan.write_text(json.dumps(plan))
        self.program.stdin.write(b"\n")
        await self._line("ready")
        hive = self.hive
        config = hive.local.config
        try:
            hive.operator = await open_operator(config, hive.events, hive.changed)
        except HiveError:
            if not plan:  # else it may be dead already: its operation goes on at once
                raise

    async def death(self) -> None:
        """Return when hived has been killed."""
        await self._line("killed")

    async def _line(self, expected: str) -> None:
        assert self.program.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            line = await self.program.stdout.readline()
        assert line.decode().strip() == expected

    async def stop_hived(self) -> None:
        """Kill it from outside."""
        (child,) = children(self.program.pid)
        os.kill(child, 9)
        await self._line("killed")
        self.lives = False
        await self.hive.operator.wait_closed()


@contextlib.asynccontextmanager
async def dying(hive: Hive) -> AsyncIterator[Deaths]:
    """Kill the hive's hived; what runs it from now on ends with the block."""
    os.kill(hive.local.pid("hived"), 9)
    await hive.operator.wait_closed()
    plan = hive.state.parent / "plan.json"
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "checks.e2e.kit.killed_hived",
        str(hive.local.place.config_file),
        str(plan),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parent.parent.parent.parent,
        limit=1 << 20,
    )
    try:
        yield Deaths(hive, program, plan)
    finally:
        assert program.stdin is not None
        program.stdin.close()
        await program.wait()


@dataclass(frozen=True)
class Story:
    """One operation, and what must be so at its end."""

    kind: OperationKind
    agent: str
    machine: type[Handler]
    request: Callable[[Hive], Awaitable[object]]
    check: Callable[[Hive], Awaitable[None]]
    fail_at: str | None = None
    """A step that fails, so that the mending ones are taken."""
    late: bool = False
    """It fails when its work is done already."""
    mended: bool = True
    """Whether a step mends that; else hived lives through it."""

    def steps(self) -> list[str]:
        """Return the steps that are killed, in their order."""
        mending = MENDING.get(self.machine, ())
        ways = [step for step in self.machine.steps if step not in mending]
        if self.fail_at is None:
            return ways
        return [*mending] if self.mended else []

    def plans(self) -> list[dict[str, str]]:
        """Return how each hived dies; the last one may not."""
        steps = self.steps()
        after = [{"kind": self.kind.value, "step": s, "how": "after"} for s in steps]
        if self.fail_at is None:
            return [*after, {}]
        how = "fail-late" if self.late else "fail"
        failing = {"kind": self.kind.value, "step": self.fail_at, "how": how}
        if not steps:
            return [failing]
        return [{**failing, "then": steps[0]}, *after[1:], {}]
