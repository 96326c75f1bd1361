"""Write access of the manager to other agents' directories, granted in its sandbox.

The manager sees all of ``agents/`` read-only, so it can neither rename, replace nor
create an agent's directory. Each agent's ``config`` and ``state`` are mounted writable
there: existing ones before the manager's program runs, later ones when they are
created. Used by the local backend. See ``pyglue.sandbox.admit``.
"""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pyglue import paths
from pyglue.errors import ErrorCode, HiveError
from pyglue.files import nofollow
from pyglue.files.directory import Owner
from pyglue.files.nofollow import opened
from pyglue.host.backends.inside import Inside
from pyglue.names import is_name
from pyglue.paths import Layout
from pyglue.process import Child, run_sync
from pyglue.sandbox import admit, hold
from pyglue.text.display import visible

Admitted = tuple[str, Owner | None, Owner | None, bool]
"""A mount by ``admit``: path inside, owner, owner shown, whether it is writable."""
_ADMITTING_S: Final = 60.0
_PARTS: Final = ("config", "state")
_log = logging.getLogger(__name__)


class Gate:
    """Delays a program in its sandbox until the context is left."""

    def __init__(self, python: str) -> None:
        self._ready, child_ready = os.pipe2(os.O_CLOEXEC)
        child_go, self._go = os.pipe2(os.O_CLOEXEC)
        self._open = [self._ready, self._go, child_ready, child_go]
        self.fds: Final = (child_ready, child_go)
        script = str(Path(hold.__file__).resolve())
        self.prefix: Final = (python, "-I", "-S", script, *map(str, self.fds))

    async def ready(self) -> bool:
        """Wait until the sandbox is set up; return False if it exited before."""
        for descriptor in self.fds:  # only the child's now, so that we see it exit
            self._open.remove(descriptor)
            os.close(descriptor)
        loop = asyncio.get_running_loop()
        come: asyncio.Future[bool] = loop.create_future()

        def read() -> None:
            loop.remove_reader(self._ready)
            come.set_result(os.read(self._ready, 1) == b".")

        loop.add_reader(self._ready, read)
        try:
            return await come
        finally:
            loop.remove_reader(self._ready)

    def __enter__(self) -> "Gate":
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            os.close(self._open.pop())


@dataclass(kw_only=True)
class Admitting:
    """Mounts agents' directories in the sandbox of a running manager."""

    layout: Layout
    manager: Owner | None
    problem: str | None = field(default=None, init=False)

    def all(self, child: Child) -> None:
        """Make all agents' directories writable. Blocking."""
        layout = self.layout
        self.admit(child, filter(is_name, nofollow.names(layout.state, layout.agents)))

    def mount(self, child: Child, plan: Sequence[Admitted]) -> None:
        """Mount other users' files as an agent's own. Blocking.

        Raises:
            HiveError: ``deploy_failed``; it names the failed mount.
        """
        inside = Inside.of(child.pid)
        if inside is None or not plan:
            return
        try:
            problem = self._run(inside.init, plan)
        finally:
            inside.close()
        if problem:
            raise HiveError(
                ErrorCode.DEPLOY_FAILED,
                f"The agent's workspaces could not be mounted: {problem}. Their file "
                "system must support mounts with mapped owners (Linux 5.12: ext4, "
                "xfs, btrfs).",
            )

    def admit(self, child: Child, names: Iterable[str]) -> None:
        """Make these agents' directories writable. Idempotent. Blocking."""
        plan = [mount for name in names for mount in self._plan(name)]
        inside = Inside.of(child.pid)
        if inside is None or not plan:
            return
        try:
            problem = self._run(inside.init, plan)
        except HiveError as error:
            problem = error.message
        finally:
            inside.close()
        self.problem = (
            f"The manager cannot write to some agents' directories: {problem}"
            if problem
            else None
        )
        if problem:
            _log.error("%s", self.problem)

    @staticmethod
    def _run(pid: int, plan: Sequence[Admitted]) -> str:
        python = str(Path(sys.executable).resolve())
        script = str(Path(admit.__file__).resolve())
        done = run_sync(
            [python, "-I", "-S", script, str(pid), json.dumps(plan)],
            env={},
            timeout=_ADMITTING_S,
        )
        if done.code == 0:
            return ""
        problem = done.stderr.decode("utf-8", "replace").strip()
        return visible(problem, limit=500) or f"exit code {done.code}"

    def _plan(self, name: str) -> list[Admitted]:
        """Return the mounts of an agent's directories, with their owners."""
        layout = self.layout
        plan: list[Admitted] = []
        with suppress(HiveError), opened(layout.state, layout.agents / name) as home:
            for part in _PARTS if home is not None else ():
                found = None if home is None else home.look(part)
                if found is None:
                    continue
                path = f"{paths.INSIDE.agents}/{name}/{part}"
                theirs = (found.st_uid, found.st_uid)
                if self.manager is not None and theirs[0] != self.manager[0]:
                    plan.append((path, theirs, self.manager, True))
                else:
                    plan.append((path, None, None, True))
        return plan
