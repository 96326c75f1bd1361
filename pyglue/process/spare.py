"""One program that is started in advance, for the next caller.

Starting a program in a sandbox often takes longer than its work. ``git`` keeps a child
for checking a commit ready this way, ``nix`` one for an evaluation. Each is used only
once, and then replaced. Blocking; may be called from several threads.
"""

import threading
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar


class Startable(Protocol):
    """A program that waits for its input."""

    @property
    def alive(self) -> bool:
        """Whether it is running."""

    def discard(self) -> None:
        """Stop it unused, with everything that belongs to it."""


T = TypeVar("T", bound=Startable)


class Spare(Generic[T]):
    """Keeps at most one program ready, started by ``start``."""

    def __init__(self, start: Callable[[], T]) -> None:
        self._start: Final = start
        self._lock = threading.Lock()
        self._waiting: T | None = None
        self._closed = False

    def prepare(self, then: Callable[[T], None] | None = None) -> None:
        """Start the next one unless one is ready; pass it to ``then``.

        Meanwhile, ``take`` waits.
        """
        with self._lock:
            if self._closed:
                return
            if self._waiting is None or not self._waiting.alive:
                self._drop()
                self._waiting = self._start()
            if then is not None:
                then(self._waiting)

    def take(self) -> T:
        """Return the ready one, or start one; the caller finishes or discards it."""
        with self._lock:
            waiting, self._waiting = self._waiting, None
        if waiting is not None and waiting.alive:
            return waiting
        if waiting is not None:
            waiting.discard()
        return self._start()

    def close(self) -> None:
        """Discard the ready one, and keep none ready from now on."""
        with self._lock:
            self._closed = True
            self._drop()

    def _drop(self) -> None:
        if self._waiting is not None:
            self._waiting.discard()
            self._waiting = None
