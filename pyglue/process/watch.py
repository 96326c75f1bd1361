"""Changes in a directory as events: inotify in the event loop.

Used to follow a file that another process writes. Events only distinguish names; the
caller looks up what changed, so superfluous events are harmless.
"""

import asyncio
import ctypes
import os
import struct
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pyglue.errors import ErrorCode, HiveError

_CHANGED: Final = 0x002 | 0x040 | 0x080 | 0x100 | 0x200  # modify, moves, make, delete
_OVERFLOW: Final = 0x4000
_HEAD: Final = struct.Struct("iIII")
_BUFFER: Final = 64 * 1024


class Watch:
    """Reports when one of ``names`` changes in ``directory``, from now on."""

    def __init__(self, directory: Path, names: frozenset[str]) -> None:
        """Begin to watch.

        Raises:
            HiveError: ``unavailable`` if the system has no more watches or the
                directory does not exist.
        """
        self._names = {os.fsencode(name) for name in names}
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._fd < 0:
            raise _refused(directory)
        if libc.inotify_add_watch(self._fd, os.fsencode(directory), _CHANGED) < 0:
            error = _refused(directory)
            os.close(self._fd)
            raise error
        self._loop.add_reader(self._fd, self._read)

    def __enter__(self) -> Self:
        """Watch for the duration of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop watching."""
        self.close()

    async def changed(self) -> None:
        """Return as soon as something has changed since the last return."""
        await self._changed.wait()
        self._changed.clear()

    def close(self) -> None:
        """Stop watching; a pending ``changed`` does not return."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _read(self) -> None:
        try:
            data = os.read(self._fd, _BUFFER)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            _, mask, _, size = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            name = data[at : at + size].rstrip(b"\0")
            at += size
            if name in self._names or mask & _OVERFLOW:
                self._changed.set()


def _refused(directory: Path) -> HiveError:
    reason = os.strerror(ctypes.get_errno())
    return HiveError(
        ErrorCode.UNAVAILABLE,
        f"Cannot watch {directory} for changes: {reason}.",
    )
