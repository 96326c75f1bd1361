"""Agents as child processes of hived: the default of ``hive run``, without NixOS.

Each agent is a harness in a bubblewrap sandbox with its own sockets, state and session,
``/shared`` and its workspaces; the manager also has all agents' directories and the
applied repositories. If root started the hive, each agent runs as its own user. Where
bubblewrap does not work, root's agents are separated by these users only, and those of
other users do not start, unless HIVE_UNSAFE_NO_SANDBOX=1 is set; ``warnings`` lists
what is missing.
The exit of a child is the crash event. Children die with hived, even after kill -9.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from pyglue import paths
from pyglue.api.journal import JournalUnit
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.backends import local_support, orphans
from pyglue.host.backends.admitting import Admitting, Gate
from pyglue.host.backends.base import (
    AgentSpec,
    Backend,
    ContainerEvent,
    ContainerEventKind,
)
from pyglue.host.backends.inside import Inside
from pyglue.host.backends.limits import Wanted, find_limiter
from pyglue.host.backends.local_start import LocalStart
from pyglue.host.backends.logfiles import FileSource
from pyglue.host.backends.logs import JournalSource
from pyglue.host.backends.owners import user_of
from pyglue.host.backends.workspace_binds import WorkspaceBinds
from pyglue.process import Child, LogFile, Rlimits, RunAs, describe_exit
from pyglue.redaction.redactor import Redactor
from pyglue.sandbox import Support, python_runtime

_TAIL: Final = 20
_HARNESS: Final = ("-m", "pyglue.harness.main")


@dataclass
class _Running:
    """A started child; ``stopping`` distinguishes a stop from a crash."""

    child: Child
    watcher: "asyncio.Task[None]"
    stopping: bool = False


class LocalBackend(Backend):
    """Runs agents as children; see the module's docstring."""

    name = "local"
    agents_pass = True
    binds_at_start = True

    def __init__(
        self, config: HiveConfig, *, program: Sequence[str] = _HARNESS
    ) -> None:
        """Probe the machine's isolation and limits. Blocking, about 50 ms.

        ``program`` is what the interpreter runs in the sandbox; tests pass another.
        """
        self.redactor = Redactor()
        self._layout = config.layout
        root = os.geteuid() == 0
        ids = config.ids if root else None
        self._config = config
        self._groups = () if ids is None or ids.group is None else (ids.group,)
        self._run_as = self._user(None if ids is None else ids.agent)
        runtime = python_runtime(["git"])
        self._start = LocalStart(
            layout=self._layout,
            program=tuple(program),
            runtime=runtime,
            probe=local_support.examine(self._run_as, runtime),
        )
        self._limiter = find_limiter(self._layout.state)
        found = self._start.probe
        self.isolation = local_support.ISOLATION[found.support]
        self.limits = self._limiter.missing is None
        self._missing = (local_support.warning(found), self._limiter.missing)
        self._admitting = Admitting(
            layout=self._layout, manager=None if ids is None else (ids.agent, ids.agent)
        )
        self._manager: str | None = None
        self._running: dict[str, _Running] = {}
        self._logs: dict[str, LogFile] = {}
        self._callback: Callable[[ContainerEvent], None] = lambda _event: None

    @property
    def warnings(self) -> tuple[str, ...]:  # type: ignore[override]
        """Current problems of isolation and limits on this machine."""
        found = (*self._missing, self._admitting.problem)
        return tuple(text for text in found if text)

    def without_harness(self, name: str) -> str:
        """Explain that there is no container without the harness."""
        return (
            f"The harness of {name} is not running, and this backend has no container "
            f"without it. Start it with `hive start {name}`; `hive logs {name}` shows "
            "why it stopped."
        )

    def watch(self, callback: Callable[[ContainerEvent], None]) -> None:
        """Set the callback for every start, stop and crash."""
        self._callback = callback

    def shares_network(self, network: bool) -> bool:
        """Return whether an agent shares the host's loopback: with a network, yes."""
        return network or not self._start.sandboxed

    async def apply(self, spec: AgentSpec) -> None:
        """Write the record for the agent's next start, atomically."""
        place = self._layout.run(spec.name)
        fresh = place / ".manifest.json.new"
        with fresh.open("wb") as file:
            file.write(spec.record)
            file.flush()
            os.fsync(file.fileno())
        if self._run_as is None:
            fresh.chmod(0o600)
        else:
            os.chown(fresh, -1, user_of(self._config, spec.name) or 0)
            fresh.chmod(0o640)
        fresh.replace(place / Path(paths.INSIDE.manifest).name)

    async def start(self, spec: AgentSpec) -> None:
        """Start the agent.

        Raises:
            HiveError: ``sandbox_unavailable`` with what to enable; ``forbidden`` if an
                agent replaced one of its directories.
        """
        if self.running(spec.name):
            return
        if self._start.probe.support is Support.REFUSED:
            raise HiveError(ErrorCode.SANDBOX_UNAVAILABLE, self.warnings[0])
        log = self._log(spec.name)
        wanted = Wanted(spec.memory_max, spec.cpu_quota)
        run_as = self._user_of(spec.name)
        files = await asyncio.to_thread(self._start.files, spec, run_as)
        with ExitStack() as stack:
            gate = None
            if self._start.sandboxed and (spec.manager or files.admitted):
                gate = stack.enter_context(Gate(self._start.runtime.argv[0]))
            with self._start.prepared(spec, files, run_as, gate) as prepared:
                child = Child.start(
                    prepared.argv,
                    env=self._start.environment(spec),
                    limits=Rlimits(),
                    run_as=run_as,
                    pass_fds=(*prepared.pass_fds, *(gate.fds if gate else ())),
                    wrapper=self._limiter.wrap(spec.name, wanted) + prepared.wrapper,
                    log=log,
                    clean=self.redactor.stream(),
                )
            watcher = asyncio.create_task(self._watch(spec.name, child))
            self._running[spec.name] = _Running(child, watcher)
            if gate is not None and await gate.ready():
                await self._complete(spec, child, files)
        self._callback(
            ContainerEvent(
                agent=spec.name, kind=ContainerEventKind.STARTED, reason="Started."
            )
        )

    async def _complete(
        self, spec: AgentSpec, child: Child, files: WorkspaceBinds
    ) -> None:
        """Make the mounts that only the host can, before the program runs."""
        try:
            await asyncio.to_thread(self._admitting.mount, child, files.admitted)
        except HiveError:
            await self.stop(spec.name, grace_s=0)
            raise
        if spec.manager:
            self._manager = spec.name  # ``admit`` also opens later ones
            await asyncio.to_thread(self._admitting.all, child)

    def admit(self, name: str) -> None:
        """Make an agent's directories writable in a running manager's sandbox."""
        running = self._running.get(self._manager or "")
        if running is not None and running.child.returncode is None:
            self._admitting.admit(running.child, (name,))

    async def stop(self, name: str, *, grace_s: float = 5.0) -> None:
        """Ask the harness to exit, then kill everything in its sandbox."""
        running = self._running.get(name)
        if running is None:
            return
        running.stopping = True
        child = running.child
        inside = Inside.of(child.pid) if self._start.sandboxed else None
        try:
            if inside is not None:
                child.signal_pid = inside.program
            await child.terminate(grace_s)
            if inside is not None:
                await inside.gone()
        finally:
            if inside is not None:
                inside.close()
        await asyncio.shield(running.watcher)

    async def remove(self, name: str) -> None:
        """Close the agent's log; a stopped agent has nothing else."""
        log = self._logs.pop(name, None)
        if log is not None:
            log.close()

    def orphans(
        self, names: Iterable[str]
    ) -> tuple[tuple[str, Callable[[], None]], ...]:
        """Return processes of these agents that a killed hived left running."""
        says = (
            "Process {0.pid} runs as the user of {0.agent}, but this hived did not "
            "start it."
        )
        return tuple(
            (says.format(one), partial(orphans.end, one))
            for one in orphans.find(self._layout, names)
        )

    def running(self, name: str) -> bool:
        """Return whether the agent's process runs."""
        running = self._running.get(name)
        return running is not None and running.child.returncode is None

    def log_tail(self, name: str, lines: int) -> tuple[str, ...]:
        """Return the newest lines of the agent's output, oldest first."""
        return self._log(name).tail(lines)

    def journal(self, name: str | None, unit: JournalUnit) -> JournalSource:
        """Return an agent's only log, whatever ``unit`` is; hived's for None."""
        del unit
        layout = self._layout
        return FileSource(
            layout.logs / "hived.log" if name is None else layout.agent_log(name)
        )

    async def close(self) -> None:
        """Stop every agent."""
        await asyncio.gather(*(self.stop(name) for name in tuple(self._running)))

    def _user(self, uid: int | None) -> RunAs | None:
        return None if uid is None else RunAs(uid, uid, self._groups)

    def _user_of(self, name: str) -> RunAs | None:
        return None if self._run_as is None else self._user(user_of(self._config, name))

    # --- one agent --------------------------------------------------------------------

    def _log(self, name: str) -> LogFile:
        if name not in self._logs:
            self._logs[name] = LogFile(self._layout.agent_log(name), stamps=True)
        return self._logs[name]

    def memory_kills(self, name: str) -> int:
        """Return the kernel's count of OOM kills."""
        return self._limiter.memory_kills(name)

    async def _watch(self, name: str, child: Child) -> None:
        code = await child.wait()
        running = self._running.pop(name)
        full = self._limiter.out_of_memory(name)
        self._limiter.end(name)
        if running.stopping:
            kind, reason = ContainerEventKind.STOPPED, "Stopped."
        else:
            kind = ContainerEventKind.CRASHED
            reason = f"Its process exited: {self._describe(code)}."
            if full:
                reason = f"It was killed by its memory limit. {reason}"
        tail, asked = child.lines[-_TAIL:], running.stopping
        self._callback(
            ContainerEvent(
                agent=name, kind=kind, reason=reason, log_tail=tail, asked=asked
            )
        )

    def _describe(self, code: int) -> str:
        if self._start.sandboxed and code > 128:  # bubblewrap's code for a signal
            code = 128 - code
        return describe_exit(code)
