"""Processes of agents that a killed hived left running.

Children die with their hived, but a kernel or a wrapper may let one escape. A process
belongs to an agent if its sandbox has the agent's own directory as ``/state``, or if it
was started on that directory without a sandbox. Everything blocks.
"""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyglue.errors import ErrorCode, HiveError
from pyglue.files.nofollow import opened
from pyglue.paths import INSIDE, Layout
from pyglue.process import kill

_PROC: Final = Path("/proc")
_DYING_S: Final = 5.0
_HARNESS: Final = b"pyglue.harness.main"


@dataclass(frozen=True)
class Orphan:
    """A process, identified by PID and start time, since PIDs are reused."""

    pid: int
    started: str
    agent: str


def find(layout: Layout, names: Iterable[str]) -> tuple[Orphan, ...]:
    """Return the processes of these agents that are not descendants of ours."""
    states: dict[tuple[int, int], str] = {}
    paths: dict[bytes, str] = {}
    for name in names:
        paths[os.fsencode(str(layout.agent_state(name)))] = name
        with (
            contextlib.suppress(HiveError),
            opened(layout.state, layout.agent_state(name)) as state,
        ):
            if state is not None:
                states[state.status.st_dev, state.status.st_ino] = name
    found = []
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        agent = _sandboxed(entry, states) or _plain(entry, paths)
        read = _stat(entry)
        if agent is not None and read is not None and not _ours(int(entry.name)):
            found.append(Orphan(int(entry.name), read[1], agent))
    return tuple(sorted(found, key=lambda one: one.pid))


def end(orphan: Orphan) -> None:
    """Kill the process, if it still exists, and wait until it has exited.

    Raises:
        HiveError: ``unavailable`` if it cannot be killed, or does not exit.
    """
    try:
        descriptor = os.pidfd_open(orphan.pid)
    except ProcessLookupError:
        return
    try:
        read = _stat(_PROC / str(orphan.pid))
        it_is = read is not None and read[1] == orphan.started
        if it_is and not kill(descriptor, _DYING_S):
            raise _alive(orphan, "it was killed, but has not exited yet")
    except PermissionError as error:
        raise _alive(orphan, "it belongs to another user") from error
    finally:
        os.close(descriptor)


def _alive(orphan: Orphan, why: str) -> HiveError:
    return HiveError(
        ErrorCode.UNAVAILABLE, f"Could not kill process {orphan.pid}: {why}."
    )


def _sandboxed(entry: Path, states: dict[tuple[int, int], str]) -> str | None:
    try:
        status = (entry / "root" / INSIDE.state.lstrip("/")).stat(follow_symlinks=False)
    except OSError:
        return None
    return states.get((status.st_dev, status.st_ino))


def _plain(entry: Path, paths: dict[bytes, str]) -> str | None:
    try:
        words = (entry / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return None
    if _HARNESS not in words or b"--state" not in words[:-1]:
        return None
    return paths.get(words[words.index(b"--state") + 1])


def _ours(pid: int) -> bool:
    """Return whether a process is ours or one of our descendants."""
    while pid > 1:
        if pid == os.getpid():
            return True
        read = _stat(_PROC / str(pid))
        if read is None:
            return True  # it is gone
        pid = read[0]
    return False


def _stat(entry: Path) -> tuple[int, str] | None:
    """Return a process's parent and when it started."""
    try:
        fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else (int(fields[1]), fields[19])
