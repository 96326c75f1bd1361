"""A process and its descendants at one moment: whether they live, their memory.

Read from /proc, where the start time tells processes with a reused PID apart.
"""

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")


@dataclass(frozen=True)
class Family:
    """Process IDs with their start times, the parent first."""

    members: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, pid: int) -> "Family":
        """Return ``pid`` and all of its descendants."""
        found: list[tuple[int, int]] = []
        unseen = [pid]
        while unseen:
            one = unseen.pop()
            began = _alive(one)
            if began is None:
                continue
            found.append((one, began))
            unseen += _children(one)
        return cls(tuple(found))

    def lives(self) -> bool:
        """Return whether all of them are still running."""
        return all(_alive(pid) == began for pid, began in self.members)

    def bytes_own(self) -> int:
        """Return the memory that ending them would free, which no file backs."""
        return sum(_anonymous(pid) for pid, _ in self.members)


def kill_group(leader: int) -> None:
    """Kill the group of ``leader``, which is not reaped yet, and its descendants.

    bubblewrap's inner process leaves the group with ``--new-session`` before it asks
    the kernel to die with its parent: a sandbox that is killed in its first
    milliseconds would live on (seen with bubblewrap 0.8.0).
    """
    family = Family.of(leader)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
    for pid, began in family.members:
        if pid != leader and _alive(pid) == began:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _alive(pid: int) -> int | None:
    """Return the start time of a process in ticks; None if it has ended."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in (_PROC / str(pid) / "task").iterdir():
            found += map(int, (task / "children").read_text().split())
    except OSError:
        return found
    return found


def _anonymous(pid: int) -> int:
    try:
        text = (_PROC / str(pid) / "status").read_text()
    except OSError:
        return 0
    kib = 0
    for line in text.splitlines():
        if line.startswith(("RssAnon:", "RssShmem:", "VmSwap:")):
            kib += int(line.split()[1])
    return kib * 1024
