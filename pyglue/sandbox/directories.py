"""Directories of programs that read hostile input as nobody: created and removed.

Used by the fences of git and nix. Each of them decides for itself what it shows, copies
and does without a working sandbox: a pack is compared with repositories that nobody may
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
    """Return the user that replaces root; None if we are another user already.

    Not the agents' user, which without a sandbox could reach into running programs.
    """
    return _NOBODY if os.geteuid() == 0 else None


def make_directory(user: RunAs | None, prefix: str, above: Path | None = None) -> Path:
    """Create a directory that ``user`` can enter; this process's user owns it."""
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir=above))
    if user is not None:
        os.chown(directory, -1, user.gid)
        directory.chmod(0o750)
    return directory


def make_own(user: RunAs | None, directory: Path) -> None:
    """Create ``directory``, which only ``user`` may enter and write."""
    directory.mkdir(mode=0o700)
    if user is not None:
        os.chown(directory, user.uid, user.gid)


def remove_directory(directory: Path) -> None:
    """Remove a directory; a program killed in a sandbox may still write briefly."""
    for _ in range(_REMOVALS):
        with contextlib.suppress(OSError):
            shutil.rmtree(directory)
            return
        time.sleep(_PAUSE_S)
    shutil.rmtree(directory, ignore_errors=True)
