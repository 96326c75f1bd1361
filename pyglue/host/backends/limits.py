"""How memory and CPU limits of local agents are enforced on this machine.

Used by the local backend. The first of these that works is used: control groups (v2,
or v1 where the controllers are there) as root; a transient scope of the user's systemd;
otherwise nothing, and ``missing`` explains it in the banner. prlimit is no substitute:
the CLI reserves far more address space than it uses, and limits apply per process.

A wrapper moves itself into the group and then executes the program, so no child of it
can be outside.
"""

import contextlib
import hashlib
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyglue.errors import HiveError
from pyglue.process import find_program, kill, run_sync

_CGROUPS: Final = Path("/sys/fs/cgroup")
_TASKS_MAX: Final = 4096
_PERIOD_US: Final = 100_000
_DYING_S: Final = 1.0
_ENABLE: Final = "+memory +cpu +pids"
_JOIN: Final = (
    'while [ "$1" != -- ]; do echo 0 >"$1/cgroup.procs" || exit 126; shift; done; '
    'shift; exec "$@"'
)
"""Constant: directories and program are its arguments. 0 is the writing process."""


@dataclass(frozen=True)
class Wanted:
    """Limits of one agent: bytes, and percent of one core; None means no limit."""

    memory_max: int | None
    cpu_quota: int | None


class Limiter(ABC):
    """One way to enforce an agent's limits."""

    missing: str | None = None
    """A sentence about limits that are not enforced, None if all are."""

    @abstractmethod
    def wrap(self, agent: str, wanted: Wanted) -> tuple[str, ...]:
        """Return the prefix of the agent's command line; it runs as hived's user."""

    def memory_kills(self, agent: str) -> int:  # noqa: ARG002
        """Count the agent's processes killed by its memory limit."""
        return 0

    def out_of_memory(self, agent: str) -> bool:
        """Return whether the memory limit killed a process of the agent."""
        return self.memory_kills(agent) > 0

    def end(self, agent: str) -> None:  # noqa: B027 (most have nothing to do)
        """Kill remaining processes of the agent, and remove its group."""


class NoLimiter(Limiter):
    """Enforces nothing; ``missing`` says so."""

    def __init__(self, why: str) -> None:
        self.missing = f"Memory and CPU limits of agents are not enforced: {why}"

    def wrap(self, agent: str, wanted: Wanted) -> tuple[str, ...]:  # noqa: ARG002
        """Return nothing."""
        return ()


class ScopeLimiter(Limiter):
    """A transient scope in the user's own systemd."""

    def __init__(self, program: str) -> None:
        self._program = program

    def wrap(self, agent: str, wanted: Wanted) -> tuple[str, ...]:  # noqa: ARG002
        """Return the systemd-run command that executes the program."""
        settings = [f"TasksMax={_TASKS_MAX}"]
        if wanted.memory_max is not None:
            settings += [f"MemoryMax={wanted.memory_max}", "MemorySwapMax=0"]
        if wanted.cpu_quota is not None:
            settings.append(f"CPUQuota={wanted.cpu_quota}%")
        options = [f"--property={setting}" for setting in settings]
        return (self._program, *_SCOPE, *options, "--")


_SCOPE: Final = ("--user", "--scope", "--quiet", "--collect")


class CgroupLimiter(Limiter):
    """Control groups made by root: one directory per agent and hierarchy."""

    def __init__(self, parents: dict[str, Path], *, unified: bool) -> None:
        """``parents`` maps memory, cpu and pids to the directories for groups."""
        self._parents = parents
        self._unified = unified
        self._directories = tuple(dict.fromkeys(parents.values()))

    def wrap(self, agent: str, wanted: Wanted) -> tuple[str, ...]:
        """Create the agent's group; return the wrapper that joins it."""
        self.end(agent)
        for parent in self._directories:
            parent.mkdir(exist_ok=True)
            if self._unified:
                (parent / "cgroup.subtree_control").write_text(_ENABLE)
            (parent / agent).mkdir(exist_ok=True)
        for controller, file, value in self._settings(wanted):
            (self._parents[controller] / agent / file).write_text(value)
        groups = [str(parent / agent) for parent in self._directories]
        return ("/bin/sh", "-c", _JOIN, "hive-limits", *groups, "--")

    def _settings(self, wanted: Wanted) -> list[tuple[str, str, str]]:
        memory, cpu = wanted.memory_max, wanted.cpu_quota
        quota = None if cpu is None else cpu * _PERIOD_US // 100
        settings = [("pids", "pids.max", str(_TASKS_MAX))]
        if self._unified:
            if memory is not None:
                settings += [("memory", "memory.max", str(memory))]
                settings += [("memory", "memory.swap.max", "0")]
            if quota is not None:
                settings += [("cpu", "cpu.max", f"{quota} {_PERIOD_US}")]
            return settings
        if memory is not None:
            settings += [("memory", "memory.limit_in_bytes", str(memory))]
        if quota is not None:
            settings += [("cpu", "cpu.cfs_period_us", str(_PERIOD_US))]
            settings += [("cpu", "cpu.cfs_quota_us", str(quota))]
        return settings

    def memory_kills(self, agent: str) -> int:
        """Return the kernel's count of OOM kills in the agent's group."""
        file = "memory.events" if self._unified else "memory.oom_control"
        try:
            text = (self._parents["memory"] / agent / file).read_text()
        except OSError:
            return 0
        counts = dict(line.split() for line in text.splitlines())
        return int(counts.get("oom_kill", "0"))

    def end(self, agent: str) -> None:
        """Kill the members of the agent's group, and remove it."""
        for parent in self._directories:
            with contextlib.suppress(OSError):
                _empty(parent / agent)
                (parent / agent).rmdir()
            with contextlib.suppress(OSError):
                parent.rmdir()


def _empty(group: Path) -> None:
    """Kill all members and wait for them to exit, so that the group can be removed."""
    for pid in (group / "cgroup.procs").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            process = os.pidfd_open(int(pid))
            try:
                kill(process, _DYING_S)
            finally:
                os.close(process)


def find_limiter(state: Path) -> Limiter:
    """Determine by trial what works here. ``state`` identifies the hive. Blocking."""
    if os.geteuid() != 0:
        return _scope()
    name = f"hyperhive-{hashlib.sha256(os.fsencode(state)).hexdigest()[:8]}"
    for find in (_unified_parents, _old_parents):
        try:
            parents, unified = find(name)
            limiter = CgroupLimiter(parents, unified=unified)
            prefix = limiter.wrap("probe", Wanted(1 << 30, 100))
        except OSError:
            continue
        joined = run_sync([*prefix, "true"], env=_session(), timeout=10).code == 0
        limiter.end("probe")
        if joined:
            return limiter
    return NoLimiter("root has no control groups for them on this host.")


def _scope() -> Limiter:
    try:
        program = find_program("systemd-run")
        done = run_sync(
            [program, *_SCOPE, "--property=MemoryMax=1G", "--", "true"],
            env=_session(),
            timeout=10,
        )
    except HiveError:
        return NoLimiter(
            "systemd-run is not installed; start the hive as root for limits."
        )
    if done.code == 0:
        return ScopeLimiter(program)
    return NoLimiter(
        "your user has no running systemd instance; log in properly, or start the "
        "hive as root."
    )


def _session() -> dict[str, str]:
    names = ("PATH", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
    return {name: os.environ[name] for name in names if name in os.environ}


def _unified_parents(name: str) -> tuple[dict[str, Path], bool]:
    controllers = (_CGROUPS / "cgroup.subtree_control").read_text().split()
    wanted = ("memory", "cpu", "pids")
    if not set(wanted) <= set(controllers):
        (_CGROUPS / "cgroup.subtree_control").write_text(_ENABLE)
    return dict.fromkeys(wanted, _CGROUPS / name), True


def _old_parents(name: str) -> tuple[dict[str, Path], bool]:
    own = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        own.update(dict.fromkeys(controllers.split(","), path))
    parents = {}
    for controller in ("memory", "cpu", "pids"):
        path = own.get(controller, "/").lstrip("/")
        parents[controller] = _CGROUPS / controller / path / name
    return parents, False
