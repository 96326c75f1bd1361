"""Disk space: measures it, and reserves some for the hive itself.

Two reserves are created while there is space, so that a full disk stops agents but not
the operator. ``Reserve`` allocates blocks beyond the end of a file that only grows (the
store, the audit log), which nobody else can use. ``Ballast`` is a file that is emptied
when the disk is full, for everything else that must be written then.
"""

import contextlib
import ctypes
import errno
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Errors of a write for which there is no space."""
_KEEP_SIZE: Final = 1
_BARE: Final = 1024 * 1024
"""With fewer free bytes, a write may fail."""
_FEW_FILES: Final = 64


@dataclass(frozen=True)
class Free:
    """Free space of a file system; ``files`` None if it does not count them."""

    size: int
    bytes: int
    files: int | None

    @property
    def is_none(self) -> bool:
        """Return whether the next write may fail."""
        return self.bytes < _BARE or (self.files is not None and self.files < 1)


def free(path: Path) -> Free:
    """Return the free space at ``path``, for a process that is not root."""
    found = os.statvfs(path)
    return Free(
        size=found.f_blocks * found.f_frsize,
        bytes=found.f_bavail * found.f_frsize,
        files=found.f_favail if found.f_files else None,
    )


class Reserve:
    """Blocks beyond the end of a file, not included in its length.

    Call ``keep`` again when the file has grown. The descriptor stays open until
    ``release``: closing one drops the locks that SQLite has on the same file.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._size = size
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        self._libc = ctypes.CDLL(None, use_errno=True)

    def keep(self) -> None:
        """Reserve the blocks; do nothing if that is not possible."""
        found = os.fstat(self._fd)
        if found.st_blocks * 512 - found.st_size < self._size // 2:
            offset, length = ctypes.c_int64(found.st_size), ctypes.c_int64(self._size)
            self._libc.fallocate(self._fd, _KEEP_SIZE, offset, length)

    def release(self) -> None:
        """Release unused blocks, and close the file."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, os.fstat(self._fd).st_size)
        os.close(self._fd)


class Ballast:
    """A file of ``size`` bytes, and a few empty ones, that free space when emptied.

    It outlives hived, so that it is also there for a hived that starts on a full disk.
    Thread-safe.
    """

    def __init__(self, directory: Path, size: int) -> None:
        self._directory = directory
        self._blocks = directory / "blocks"
        self._size = size
        self._lock = threading.Lock()

    @property
    def missing(self) -> int:
        """Return the number of missing bytes."""
        try:
            found = self._blocks.stat()
        except OSError:
            return self._size
        return max(0, self._size - min(found.st_size, found.st_blocks * 512))

    def make(self) -> None:
        """Allocate the space, unless the disk has too little."""
        with self._lock:
            try:
                self._directory.mkdir(mode=0o700, exist_ok=True)
                for number in range(_FEW_FILES):
                    (self._directory / str(number)).touch(mode=0o600)
                fd = os.open(
                    self._blocks, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600
                )
                try:
                    os.ftruncate(fd, self._size)  # a size that was lowered since
                    if self._size:
                        os.posix_fallocate(fd, 0, self._size)
                except OSError:
                    os.ftruncate(fd, 0)
                finally:
                    os.close(fd)
            except OSError:
                return

    def give_up(self) -> bool:
        """Free space if there is none; return whether a write may succeed now."""
        with self._lock:
            if not free(self._directory.parent).is_none:
                return True
            with contextlib.suppress(OSError):
                os.truncate(self._blocks, 0)
                for number in range(_FEW_FILES):
                    (self._directory / str(number)).unlink(missing_ok=True)
            return not free(self._directory.parent).is_none
