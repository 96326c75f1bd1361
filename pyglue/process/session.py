"""Kill a whole session, including a shell's jobs in their own process groups."""

import contextlib
import os
import signal
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")


def kill_session(leader: int) -> None:
    """Kill every process in the session of ``leader``, which is not reaped yet.

    A process that has moved to another session is not found; only a pid namespace
    contains those.
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
    # After the name in parentheses, which may be any text: state ppid pgrp session.
    return int(stat.rpartition(")")[2].split()[3])
