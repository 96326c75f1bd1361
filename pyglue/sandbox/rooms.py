"""Directories of what reads hostile input as nobody: made, and removed after.

Used by the fences of git and nix. What each of them shows, copies and falls back to
where no sandbox works is its own: a pack is compared with repositories that nobody may
write, an evaluation sees files that its user must be able to read.
"""

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Final

from pyglue.process import RunAs

_NOBODY: Final = RunAs(65534, 65534)
_REMOVALS: Final = 100
_PAUSE_S: Final = 0.05


def nobody() -> RunAs | None:
    """Return who takes over from root; None for any other user, who stays.

    Not the agents' user: without a sandbox it could reach into what runs.
    """
    return _NOBODY if os.geteuid() == 0 else None


def make_room(user: RunAs | None, prefix: str, above: Path | None = None) -> Path:
    """Make a directory that ``user`` can enter; its owner is this process's."""
    room = Path(tempfile.mkdtemp(prefix=prefix, dir=above))
    if user is not None:
        os.chown(room, -1, user.gid)
        room.chmod(0o750)
    return room


def make_own(user: RunAs | None, directory: Path) -> None:
    """Make ``directory``, which ``user`` alone may enter and write."""
    directory.mkdir(mode=0o700)
    if user is not None:
        os.chown(directory, user.uid, user.gid)


def remove_room(room: Path) -> None:
    """Remove a directory; what was killed in a sandbox may write for a moment more."""
    for _ in range(_REMOVALS):
        with contextlib.suppress(OSError):
            shutil.rmtree(room)
            return
        time.sleep(_PAUSE_S)
    shutil.rmtree(room, ignore_errors=True)
