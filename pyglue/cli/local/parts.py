"""The parts of a local hive, as children of this process.

Each writes its own log and reports by sd_notify that it is ready, so there are no fixed
delays. All except hived are restarted when they exit. When this process exits, however
that happens, so do they.
"""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pyglue.cli.local.ready import Readiness
from pyglue.cli.output.anchors import ANCHOR_LINE
from pyglue.errors import ErrorCode, HiveError
from pyglue.process import Child, LogFile, RunAs, describe_exit
from pyglue.sandbox import own_places, reach

_DIE_WITH_US: Final = ("setpriv", "--pdeathsig", "TERM", "--")
"""Even if this process is killed, no part of the hive keeps running."""
_READY_S: Final = 60.0
_AGAIN_S: Final = 0.5
"""Delay before a part is restarted; doubled each time, up to a maximum."""
_AGAIN_MAX_S: Final = 60.0
_WELL_S: Final = 60.0
"""A part that ran for this long did not fail at its start."""
_STOP_S: Final = 8.0
_KEPT_ENV: Final = (
    "PATH",
    "LANG",
    "TZ",
    "HIVE_SHARE",
    "HIVE_UNSAFE_NO_SANDBOX",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "SSL_CERT_FILE",
    "HTTPS_PROXY",
    "NO_PROXY",
)

Start = Callable[[], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Program:
    """A part's command: a module of Python and its arguments, run as a user."""

    name: str
    module: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    run_as: RunAs | None = None
    pass_fds: tuple[int, ...] = ()


@dataclass(kw_only=True)
class Parts:
    """Children by name. ``temporary`` is where they report that they are ready."""

    state: Path
    temporary: Path
    say: Callable[[str], None]
    _children: dict[str, Child] = field(default_factory=dict)
    _logs: dict[str, LogFile] = field(default_factory=dict)
    _starts: dict[str, Start] = field(default_factory=dict)

    async def keep(self, name: str, start: Start) -> None:
        """Start a part, and restart it whenever it exits while ``ended`` is awaited."""
        self._starts[name] = start
        await start()

    def run(self, program: Program, env: Mapping[str, str] | None = None) -> None:
        """Start a child, with ``env`` in addition to the program's own variables."""
        name = program.name
        log = self._logs.setdefault(name, LogFile(self._log(name), stamps=True))
        kept = {key: os.environ[key] for key in _KEPT_ENV if key in os.environ}
        self._children[name] = self.child(
            program,
            {
                **kept,
                "PYTHONUNBUFFERED": "1",
                "HOME": "/nonexistent",
                **program.env,
                **(env or {}),
            },
            log,
        )

    def child(self, program: Program, env: Mapping[str, str], log: LogFile) -> Child:
        """Start the process of a part."""
        python = (sys.executable, "-P", "-m", program.module)
        return Child.start(
            [*_DIE_WITH_US, *python, *program.argv],
            env=env,
            log=log,
            run_as=program.run_as,
            pass_fds=program.pass_fds,
            wrapper=self._reach(program.run_as),
        )

    async def ready(self, program: Program) -> None:
        """Start a daemon, and return when it reports that it is ready.

        Raises:
            HiveError: ``unavailable`` with the end of its log.
        """
        run_as = program.run_as
        uid = None if run_as is None else run_as.uid
        readiness = Readiness(self.temporary / f"{program.name}.notify", uid)
        try:
            self.run(program, {"NOTIFY_SOCKET": str(readiness.path)})
            await self._first(program.name, readiness.future)
        finally:
            readiness.close()

    def pid(self, name: str) -> int:
        """Return the process ID of a child."""
        return self._children[name].pid

    async def stop(self, *groups: tuple[str, ...]) -> None:
        """Stop groups of children one after the other, then close all logs."""
        for names in groups:
            found = [self._children.pop(name, None) for name in names]
            await asyncio.gather(*(one.terminate(_STOP_S) for one in found if one))
        for log in self._logs.values():
            log.close()

    async def ended(self, name: str) -> str:
        """Return when a part exits, with a sentence that says how.

        Until then, every part that was passed to ``keep`` is restarted.
        """
        keepers = [asyncio.create_task(self._restart(other)) for other in self._starts]
        try:
            code = await self._children[name].wait()
            return f"{name} exited ({describe_exit(code)}). {self._tail(name)}"
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)

    async def _restart(self, name: str) -> None:
        """Restart a part whenever it has exited, with growing delays."""
        begun, failures = time.monotonic(), 0
        while True:
            code = await self._children[name].wait()
            failures = 0 if time.monotonic() - begun > _WELL_S else failures
            pause = min(_AGAIN_S * 2**failures, _AGAIN_MAX_S)
            failures += 1
            self.say(
                f"{name} exited ({describe_exit(code)}). Starting it again in "
                f"{pause:g} s. {self._tail(name)}"
            )
            await asyncio.sleep(pause)
            begun = time.monotonic()
            try:
                await self._starts[name]()
            except HiveError as error:
                self.say(error.message)
                await self._children[name].terminate(_STOP_S)
            else:
                self.say(f"{name} is running again.")

    async def _first(self, name: str, found: "asyncio.Future[str]") -> None:
        """Wait for readiness or the end, whichever comes first."""
        ended = asyncio.ensure_future(self._children[name].wait())
        waiting: list[asyncio.Future[Any]] = [asyncio.shield(found), ended]
        await asyncio.wait(
            waiting, timeout=_READY_S, return_when=asyncio.FIRST_COMPLETED
        )
        if found.done():
            ended.cancel()
            return
        what = "exited at once" if ended.done() else f"was not ready in {_READY_S:g} s"
        raise HiveError(ErrorCode.UNAVAILABLE, f"{name} {what}. {self._tail(name)}")

    def _reach(self, run_as: RunAs | None) -> tuple[str, ...]:
        """Let a part find our modules and its sockets, even below a private home."""
        return reach(dict.fromkeys((*own_places(), self.state)), run_as)

    def _log(self, name: str) -> Path:
        return self.state / "logs" / f"{name}.log"

    def _tail(self, name: str) -> str:
        child = self._children.get(name)
        lines = [] if child is None else [line for line in child.lines if line.strip()]
        shown = [line for line in lines if not line.startswith(ANCHOR_LINE)]
        last = shown[-1] if shown else "none"
        return f"Last line: {last} (full log: {self._log(name)})"
