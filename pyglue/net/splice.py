"""Moves many bytes from one socket to another within the kernel, by splice(2).

For ``forwarding``: no byte is copied into this process (``make bench
ARGS=egress_throughput``). A ``Splice`` has its own descriptors, and ends as soon as
there is anything to decide: at the end of the stream, at an error, after a second
without data. Its owner then resumes its own reads and writes, and meets the end or the
error itself.
"""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable
from typing import Final

_PIPE: Final = 1024 * 1024
"""Requested capacity of a pipe in bytes; the kernel may grant less."""
_FLAGS: Final = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE


class Splices:
    """Starts the splices of one event loop: at most ``most`` at a time.

    Each has four descriptors, and ends after ``quiet_s`` seconds without data.
    """

    def __init__(self, *, most: int = 32, quiet_s: float = 1.0) -> None:
        self._most = most
        self._quiet_s = quiet_s
        self._running: set[Splice] = set()

    @property
    def running(self) -> int:
        """The number of running splices."""
        return len(self._running)

    def start(
        self,
        *,
        source: int,
        sink: int,
        count: Callable[[int], object],
        ended: Callable[[bytes], object],
    ) -> "Splice | None":
        """Move bytes from one socket to another; None if no splice is available.

        ``count`` gets the number of received bytes. ``ended`` is called at most once,
        with bytes that were received but not sent. Both sockets must be non-blocking;
        until then nothing else may read from ``source`` or write to ``sink``.
        """
        if len(self._running) >= self._most:
            return None

        def over(rest: bytes) -> None:
            self._running.discard(splice)
            ended(rest)

        try:
            splice = Splice(
                source=source,
                sink=sink,
                quiet_s=self._quiet_s,
                count=count,
                ended=over,
            )
        except OSError:  # no descriptors left
            return None
        self._running.add(splice)
        return splice


class Splice:
    """A running splice, made by ``Splices.start``."""

    def __init__(
        self,
        *,
        source: int,
        sink: int,
        quiet_s: float,
        count: Callable[[int], object],
        ended: Callable[[bytes], object],
    ) -> None:
        """Raises OSError if there are no descriptors."""
        self._loop = asyncio.get_running_loop()
        self._quiet_s = quiet_s
        self._count = count
        self._ended = ended
        self._held = 0
        self._moved = False
        self._over = False
        with contextlib.ExitStack() as made:
            self._source = _own(made, os.dup(source))
            self._sink = _own(made, os.dup(sink))
            out, into = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            self._out, self._into = _own(made, out), _own(made, into)
            self._descriptors = made.pop_all()
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._into, fcntl.F_SETPIPE_SZ, _PIPE)
        self._loop.add_reader(self._source, self._receive)
        self._timer = self._loop.call_later(self._quiet_s, self._check)

    def end(self) -> None:
        """End the splice. Idempotent."""
        if self._over:
            return
        self._over = True
        self._timer.cancel()
        # The sockets outlive the splice, and so would the loop's registrations.
        self._loop.remove_reader(self._source)
        self._loop.remove_writer(self._sink)
        rest = b""
        with contextlib.suppress(BlockingIOError):
            while len(rest) < self._held:
                rest += os.read(self._out, self._held)
        self._descriptors.close()
        self._ended(rest)

    def _receive(self) -> None:
        """Receive into the pipe, which is empty."""
        try:
            size = os.splice(self._source, self._into, _PIPE, flags=_FLAGS)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        if size == 0:
            self.end()
            return
        self._held = size
        self._count(size)
        self._send()
        if self._held and not self._over:
            self._loop.remove_reader(self._source)
            self._loop.add_writer(self._sink, self._go_on)

    def _send(self) -> None:
        self._moved = True
        try:
            while self._held and not self._over:
                self._held -= os.splice(self._out, self._sink, self._held, flags=_FLAGS)
        except BlockingIOError:
            return
        except OSError:
            self.end()

    def _go_on(self) -> None:
        """Send more from the pipe; once it is empty, receive again."""
        self._send()
        if not self._held and not self._over:
            self._loop.remove_writer(self._sink)
            self._loop.add_reader(self._source, self._receive)

    def _check(self) -> None:
        if not self._moved and not self._held:
            self.end()
            return
        self._moved = False
        self._timer = self._loop.call_later(self._quiet_s, self._check)


def _own(made: contextlib.ExitStack, descriptor: int) -> int:
    made.callback(os.close, descriptor)
    return descriptor
