"""Find and await the processes inside a bubblewrap sandbox.

Used by the local backend to stop an agent. hived's child process is only the monitor;
its child is the sandbox's init, and init's first child is the program. A signal to the
monitor would kill everything at once, so the program itself gets the signal. Processes
are tracked by pidfd, since PIDs are reused.
"""

import asyncio
import contextlib
import os
from pathlib import Path


class Inside:
    """The init and the program of a running sandbox."""

    def __init__(self, init: int, program: int | None) -> None:
        self.init = init
        self.program = program
        self._init = os.pidfd_open(init)

    @classmethod
    def of(cls, monitor: int) -> "Inside | None":
        """Return the sandbox under ``monitor``; None if it is exiting or not ready."""
        parents = _parents()
        init = _oldest_child(parents, monitor)
        if init is None:
            return None
        with contextlib.suppress(ProcessLookupError):
            return cls(init, _oldest_child(parents, init))
        return None

    async def gone(self) -> None:
        """Wait until init has exited, and with it everything in its PID namespace."""
        loop = asyncio.get_running_loop()
        ended = loop.create_future()

        def settle() -> None:
            if not ended.done():
                ended.set_result(None)

        loop.add_reader(self._init, settle)
        try:
            await ended
        finally:
            loop.remove_reader(self._init)

    def close(self) -> None:
        """Release the descriptor."""
        os.close(self._init)


def _parents() -> dict[int, tuple[int, int]]:
    """Return the parent and the start time of each process."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                # The fields after the name, which can be anything but ends with ")".
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2]
                parts = fields.split()
                found[int(entry.name)] = (int(parts[1]), int(parts[19]))
    return found


def _oldest_child(parents: dict[int, tuple[int, int]], pid: int) -> int | None:
    children = [
        (began, child) for child, (parent, began) in parents.items() if parent == pid
    ]
    return min(children)[1] if children else None
