"""A log file that cannot fill the disk: a program's raw output, limited in size.

Used by ``Child``. Two files, ``NAME`` and ``NAME.1``, together at most twice the cap.
The directory must belong to the host; a link in place of a file is refused. Lines may
begin with when they were written: a program's output has no times, a journal does.
"""

import os
import time
from collections import deque
from datetime import datetime
from pathlib import Path
from typing import Final

CAP: Final = 4 * 1024 * 1024
_LINE_SHOWN: Final = 4096


_STAMP: Final = "%Y-%m-%dT%H:%M:%SZ "
_STAMP_LENGTH: Final = 21


def unstamped(line: bytes) -> tuple[bytes, float | None]:
    """Return a line without its time, and that, in seconds since the epoch."""
    stamp = line[:_STAMP_LENGTH]
    if stamp[-2:] != b"Z " or not stamp.isascii():
        return line, None
    try:
        at = datetime.fromisoformat(stamp[:-1].decode())
    except ValueError:
        return line, None
    return line[_STAMP_LENGTH:], at.timestamp()


class LogFile:
    """Appends bytes; reads the latest lines back.

    Args:
        path: The file.
        cap: Bytes per file.
        stamps: Whether to put the time before each line.
    """

    def __init__(self, path: Path, *, cap: int = CAP, stamps: bool = False) -> None:
        self._path = path
        self._older = path.with_name(path.name + ".1")
        self._cap = cap
        self._stamps = stamps
        self._is_line_open = False
        self._fd: int | None = None
        self._size = 0

    def write(self, data: bytes) -> None:
        """Append ``data``, to a new file if this one is full."""
        if self._stamps and data:
            data = self._stamped(data)
        if self._fd is not None and self._size + len(data) > self._cap:
            self.close()
            os.replace(self._path, self._older)  # noqa: PTH105 (atomic, says so)
        if self._fd is None:
            self._open()
        assert self._fd is not None  # noqa: S101 (for mypy)
        while data:
            written = os.write(self._fd, data)
            self._size += written
            data = data[written:]

    def _stamped(self, data: bytes) -> bytes:
        stamp = time.strftime(_STAMP, time.gmtime()).encode()
        text = data.removesuffix(b"\n")
        found = text.replace(b"\n", b"\n" + stamp) + data[len(text) :]
        found = found if self._is_line_open else stamp + found
        self._is_line_open = not data.endswith(b"\n")
        return found

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(self._path, flags, 0o600)
        self._size = os.fstat(self._fd).st_size

    def tail(self, lines: int) -> tuple[str, ...]:
        """Return the latest ``lines`` lines, oldest first, each cut at 4096 chars.

        Without their times.
        """
        newest: deque[str] = deque(maxlen=max(lines, 0))
        for path in (self._older, self._path):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue
            for line in data.splitlines()[-lines:] if lines > 0 else ():
                text, _at = unstamped(line) if self._stamps else (line, None)
                newest.append(text.decode("utf-8", "replace")[:_LINE_SHOWN])
        return tuple(newest)

    def close(self) -> None:
        """Close the file; a later write opens it again."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
