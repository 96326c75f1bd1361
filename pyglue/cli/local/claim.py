"""Locks the state directory and creates a temporary directory, for one ``hive run``.

Both are locked by a lock on the directory itself, which the kernel releases however the
process ends. A second run on the same state is refused before it has touched anything;
the temporary directory of a killed run (it contains the key) is removed by the next
one.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pyglue.errors import ErrorCode, HiveError

_PREFIX: Final = "hive-run-"
_UNLOCKED: Final = "hive-start-"
"""A directory before its lock, which nobody takes for one that was left behind."""
_TOP_MAX: Final = 107 - len("/hive-start-12345678/hive-relay.notify")
"""So that sockets fit: who reports ready connects by the whole path."""
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass
class Claim:
    """A locked state directory. ``made`` are the directories created for it."""

    made: list[Path] = field(default_factory=list)
    lock: int = -1

    def release(self) -> None:
        """Release it; remove directories created for it that are empty."""
        if self.lock >= 0:
            os.close(self.lock)
            self.lock = -1
        for directory in reversed(self.made):
            with contextlib.suppress(OSError):
                directory.rmdir()
        self.made.clear()


def claim(state: Path, *, hived_lock: Path) -> Claim:
    """Create the state directory, if necessary, and lock it.

    Raises:
        HiveError: ``store_locked`` if another hive uses it, ``config_invalid`` if it
            cannot be written.
    """
    taken = Claim()
    try:
        _make(state, taken.made)
        taken.lock = os.open(state, _FOLDER)
        if not _locked(taken.lock) or _in_use(hived_lock):
            raise HiveError(
                ErrorCode.STORE_LOCKED,
                f"Another hive is running on {state}. Stop it first, or choose "
                "another state directory with --state.",
            )
        logs = state / "logs"
        _make(logs, taken.made)
        for directory in (state, logs):
            tempfile.TemporaryFile(dir=directory).close()
    except OSError as error:
        taken.release()
        raise HiveError(
            ErrorCode.CONFIG_INVALID,
            f"Cannot write the state directory {state}: {error.strerror}. Choose "
            "another with --state.",
        ) from error
    except BaseException:
        taken.release()
        raise
    return taken


@dataclass(frozen=True)
class RunDirectory:
    """A temporary directory that is ours until ``remove``."""

    path: Path
    lock: int

    @classmethod
    def make(cls) -> "RunDirectory":
        """Create one, and remove those that were left behind.

        Raises:
            HiveError: ``config_invalid`` if its sockets' names would be too long.
        """
        top = Path(tempfile.gettempdir())
        if len(os.fsencode(top)) > _TOP_MAX:
            raise HiveError(
                ErrorCode.CONFIG_INVALID,
                f"The temporary directory {top} is too long for the sockets in it: at "
                f"most {_TOP_MAX} bytes. Set TMPDIR to a shorter one, such as /tmp.",
            )
        _sweep(top)
        fresh = Path(tempfile.mkdtemp(prefix=_UNLOCKED, dir=top))
        lock = os.open(fresh, _FOLDER)
        fcntl.flock(lock, fcntl.LOCK_EX)
        path = fresh.with_name(_PREFIX + fresh.name.removeprefix(_UNLOCKED))
        fresh.rename(path)
        return cls(path, lock)

    def remove(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self.lock)


def _sweep(top: Path) -> None:
    """Remove directories whose run is gone: our own, and as root everybody's."""
    for directory in top.glob(f"{_PREFIX}*"):
        try:
            lock = os.open(directory, _FOLDER)
        except OSError:
            continue
        try:
            ours = os.geteuid() in (0, os.fstat(lock).st_uid)
            if ours and _locked(lock):
                shutil.rmtree(directory, ignore_errors=True)
        finally:
            os.close(lock)


def _make(directory: Path, made: list[Path]) -> None:
    """Create a directory with its parents, noting each that was created."""
    missing = [each for each in (directory, *directory.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700 if each == directory else 0o777, exist_ok=True)
        made.append(each)


def _in_use(hived_lock: Path) -> bool:
    """Whether a hived that was started otherwise has the store open."""
    try:
        descriptor = os.open(hived_lock, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _locked(descriptor)
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
