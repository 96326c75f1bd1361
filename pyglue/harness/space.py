"""Whether the disk has enough free space for a turn.

The CLI ends a turn as if nothing were wrong when its disk fills up, and forgets the
turn. So ``loop`` checks before it receives messages, and ``session`` before each run:
without space the messages stay queued. No event says when space is free again, so
``loop`` checks at intervals.
"""

import errno
import os
from pathlib import Path
from typing import Final

from pyglue.text.display import visible

FREE_MIN: Final = 32 * 1024 * 1024
"""Bytes that must be free for a turn; on a small disk, a twentieth of it."""
_INODES: Final = 64
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Space:
    """The disks of an agent's directories."""

    def __init__(self, *directories: Path) -> None:
        self._directories = directories

    def problem(self) -> str | None:
        """Return a sentence about a full disk; None if none is full."""
        for directory in self._directories:
            try:
                disk = os.statvfs(directory)
            except OSError:
                continue  # a write there reports it
            free = disk.f_bavail * disk.f_frsize
            if free < min(FREE_MIN, disk.f_blocks * disk.f_frsize // 20):
                left = f"only {free / 1024**2:.1f} MiB are free"
            elif disk.f_files and disk.f_favail < min(_INODES, disk.f_files // 20):
                left = f"only {disk.f_favail} more files can be created"
            else:
                continue
            return (
                f"The disk of {visible(str(directory), limit=200)} is full: {left}. "
                "Remove files there or enlarge it; the agent then continues "
                "automatically. Its messages stay queued until then."
            )
        return None


def is_full(error: OSError) -> bool:
    """Return whether a write failed because the disk is full."""
    return error.errno in _FULL
