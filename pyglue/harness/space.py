"""Whether the disk has enough free space for a turn.

The CLI ends a turn as if nothing were wrong when its disk fills up, and forgets the
turn. So ``loop`` looks before it takes mail, and ``session`` before each run: where
there is no room the mail waits. Nobody is told when room appears, so ``loop`` looks
again every while.
"""

import errno
import os
from pathlib import Path
from typing import Final

from pyglue.display import visible

ROOM: Final = 32 * 1024 * 1024
"""Bytes that a turn may need at least; of a small disk a twentieth."""
_INODES: Final = 64
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Space:
    """The disks that an agent's directories lie on."""

    def __init__(self, *directories: Path) -> None:
        self._directories = directories

    def problem(self) -> str | None:
        """Return a sentence on a disk without room, None if all have some."""
        for directory in self._directories:
            try:
                disk = os.statvfs(directory)
            except OSError:
                continue  # whoever writes there says so
            free = disk.f_bavail * disk.f_frsize
            if free < min(ROOM, disk.f_blocks * disk.f_frsize // 20):
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
    """Tell whether a write failed for want of room."""
    return error.errno in _FULL
