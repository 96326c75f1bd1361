"""A checking child that is started in advance.

Starting Python with libgit2, and a sandbox around it, takes far longer than judging a
small commit. hived therefore keeps one child ready, in a place of its own behind the
fence; each is used for one commit and then replaced. It has seen nothing before its job
but objects that the host knows, and exits with hived, because its input ends. Blocking;
may be called from several threads.
"""

import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyglue.git.fence import Fence, Place
from pyglue.git.run import start_module
from pyglue.process.limits import Rlimits
from pyglue.process.spare import Spare
from pyglue.process.started import Ran, Started

CHECK: Final = "pyglue.git.check"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Waiting:
    """A child that waits for its job, and its place; None without a fence."""

    child: Started
    place: Place | None

    @property
    def alive(self) -> bool:
        """Whether the child is running."""
        return self.child.alive

    def finish(self, job: bytes, *, timeout: float, limits: Rlimits) -> Ran:
        """Give it its only job; behind a fence it applies the job's limits to itself.

        This process cannot limit a process of another user.
        """
        held = limits if self.place is None else None
        return self.child.finish(job, timeout=timeout, limits=held)

    def expect(self, known: Path) -> None:
        """Show it these objects in advance, as far as that works."""
        if self.place is not None:
            try:
                self.place.objects(known)
            except OSError as error:  # such as a repository that is just removed
                _log.info("could not copy objects in advance: %s", error)

    def discard(self) -> None:
        """End the unused child, and remove its place."""
        self.child.discard()
        if self.place is not None:
            self.place.remove()


class SpareChild:
    """Hands out children, the waiting one if there is one.

    ``workdir`` is a directory that only the host can enter; ``shown`` holds the
    repositories with which packs are compared.
    """

    def __init__(self, fence: Fence, *, workdir: Path, shown: Path) -> None:
        self.fence: Final = fence
        self._workdir = workdir
        self._shown = shown
        self._spare = Spare(self._start)
        self._lock = threading.Lock()
        self._cleaners: list[threading.Thread] = []

    def prepare(self, known: Path | None = None) -> None:
        """Start the child for the next check unless one is already waiting.

        ``known`` is the directory of objects with which it will probably compare.
        """
        self._spare.prepare(
            None if known is None else lambda waiting: waiting.expect(known)
        )

    def take(self) -> Waiting:
        """Return a child for one check; wait while ``fence.slots`` of them are busy.

        The caller finishes it, then calls ``dispose``.
        """
        self.fence.slots.acquire()
        try:
            return self._spare.take()
        except BaseException:
            self.fence.slots.release()
            raise

    def dispose(self, waiting: Waiting) -> None:
        """End a child from ``take`` and remove its place, in the background.

        The verdict does not wait for the sandbox to be removed; the next check does.
        """
        cleaner = threading.Thread(target=self._clean, args=(waiting,))
        with self._lock:
            self._cleaners = [one for one in self._cleaners if one.is_alive()]
            self._cleaners.append(cleaner)
            cleaner.start()

    def _clean(self, waiting: Waiting) -> None:
        try:
            waiting.discard()
        finally:
            self.fence.slots.release()

    def close(self) -> None:
        """End the waiting child, and keep none ready from now on."""
        self._spare.close()
        with self._lock:
            cleaners = self._cleaners
        for cleaner in cleaners:
            cleaner.join()

    def _start(self) -> Waiting:
        place = self.fence.place(self._workdir, self._shown)
        try:
            return Waiting(start_module(CHECK, place=place), place)
        except BaseException:
            if place is not None:
                place.remove()
            raise
