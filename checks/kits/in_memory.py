"""Directories of tests in memory, where several processes run tests.

Much of a test's time went to ``fsync``: what the store, git and Nix write is durable
before they answer, and a disk takes milliseconds for each. So pytest's directories lie
on a file system in memory, of a mount namespace of the run's own: it ends with the
last process of the run, however that ends, and nothing has to be cleaned up. A run in
one process (``make test WORKERS=``) leaves its directories on the disk, to look at.
"""

import ctypes
import getpass
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

import pytest

_TEMPROOT: Final = "PYTEST_DEBUG_TEMPROOT"
ENOUGH: Final = 12 * 1024**3
"""Bytes of available memory: a whole run leaves a quarter of it behind."""
_SIZE: Final = "size=8g,mode=0700"
_CLONE_NEWNS: Final = 0x20000
_MS_REC_SLAVE: Final = 0x4000 | 0x80000
_libc: Final = ctypes.CDLL(None, use_errno=True)


def use(config: pytest.Config) -> None:
    """Let the workers of this run have their directories in memory, if that can be."""
    several = config.getoption("numprocesses", None)
    if not several or hasattr(config, "workerinput") or config.option.basetemp:
        return
    if os.geteuid() != 0 or available() < ENOUGH:
        return
    temporary = Path(os.environ.get(_TEMPROOT) or tempfile.gettempdir())
    place = temporary / f"pytest-of-{getpass.getuser()}"  # pytest's: no path is longer
    if place not in Path.cwd().parents:  # a run that a test of another run starts
        mounted(place)


def available() -> int:
    """Return the bytes of memory that are available, 0 if nothing tells."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return 0
    return sum(
        int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")
    )


def mounted(place: Path) -> bool:
    """Mount memory at ``place`` for this process and its children; tell if it was."""
    place.mkdir(mode=0o700, exist_ok=True)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        return False  # another user's: /tmp is everybody's
    return (
        _libc.unshare(_CLONE_NEWNS) == 0
        and _libc.mount(b"none", b"/", None, _MS_REC_SLAVE, None) == 0
        and _libc.mount(b"tests", os.fsencode(place), b"tmpfs", 0, _SIZE.encode()) == 0
    )
