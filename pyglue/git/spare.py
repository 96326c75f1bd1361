"""A checking child that is started before there is something to check.

Starting Python with libgit2 takes far longer than judging a small commit. hived keeps
one child waiting for its input: fresh, used for one commit, then replaced. It has seen
nothing when it gets its job, and ends by itself when hived does, for its input ends.
Blocking; may be called from several threads.
"""

import threading
from typing import Final

from pyglue.git.child import ChildLimits, Ran, Started
from pyglue.git.run import start_module

CHECK: Final = "pyglue.git.check"


class SpareChild:
    """Runs checks, with the child that waits if there is one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: Started | None = None
        self._closed = False

    def prepare(self) -> None:
        """Start the child for the next check unless it waits already."""
        with self._lock:
            if self._closed or (self._waiting is not None and self._waiting.alive):
                return
            self._drop()
            self._waiting = start_module(CHECK)

    def run(self, job: bytes, *, timeout: float, limits: ChildLimits) -> Ran:
        """Run one check; ``timeout`` in seconds. The limits bind before it begins."""
        with self._lock:
            child, self._waiting = self._waiting, None
        if child is not None and not child.alive:
            child.discard()
            child = None
        child = child or start_module(CHECK)
        return child.finish(job, timeout=timeout, limits=limits)

    def close(self) -> None:
        """End what waits; nothing waits any more after this."""
        with self._lock:
            self._closed = True
            self._drop()

    def _drop(self) -> None:
        if self._waiting is not None:
            self._waiting.discard()
            self._waiting = None
