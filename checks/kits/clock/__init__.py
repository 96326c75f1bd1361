"""Clocks that a test sets: of its own process, and of the programs that it starts.

A day passes at once. ``shift.c`` is preloaded into these programs and moves what they
read of every clock but those of processor time. A wait in which a program already is
still takes its real time; once that is over, it sees that a day has passed.
"""

import struct
import subprocess
import time
from pathlib import Path
from typing import Final

import pytest

_SOURCE: Final = Path(__file__).with_name("shift.c")
_NUMBER: Final = struct.Struct("l")


class Clock:
    """Moves clocks forward; while it is in use, programs are started with it."""

    def __init__(self, room: Path, patch: pytest.MonkeyPatch) -> None:
        """Compile what is preloaded, and patch this process while ``patch`` lasts."""
        self._file = room / "shift"
        self._ahead = 0
        self._write()
        library = room / "shift.so"
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-O2", "-o", library, _SOURCE, "-ldl"],
            check=True,
        )
        patch.setenv("CLOCK_SHIFT", str(self._file))
        patch.setenv("LD_PRELOAD", str(library))
        for name in ("time", "monotonic"):  # asyncio's is the second
            real = getattr(time, name)
            patch.setattr(time, name, lambda real=real: real() + self._ahead)

    def advance(self, seconds: int) -> None:
        """Let so many seconds pass at once."""
        self._ahead += seconds
        self._write()

    def _write(self) -> None:
        """Write in place: programs have the file mapped."""
        if not self._file.exists():
            self._file.write_bytes(bytes(_NUMBER.size))
        with self._file.open("r+b") as file:
            file.write(_NUMBER.pack(self._ahead))
