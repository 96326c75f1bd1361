"""Kill a whole session, including a shell's jobs in their own process groups."""

import contextlib
import os
import signal
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")


def kill_session(leader: int) -> None:
    """Kill every process of the session whose leader, not reaped yet, is ``leader``.

    A process that moves to another session is not found; only a pid namespace holds
    those.
    """
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and _session(entry) == leader:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(int(entry.name), signal.SIGKILL)


def _session(entry: Path) -> int | None:
    try:
        stat = (entry / "stat").read_text(errors="replace")
    except OSError:
        return None
    # After the name in parentheses, which may hold anything: state ppid pgrp session.
    return int(stat.rpartition(")")[2].split()[3])
