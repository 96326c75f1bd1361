"""Starts a program, feeds it its input, and kills it with the rest of its session.

``once`` uses this for every program of the hive, ``pyglue.git`` for those that read an
agent's commits. Blocking, and without asyncio: the child that checks a pack imports it
and has to start fast. Limits are set with prlimit(2) once the child exists and before
its first byte of input: ``preexec_fn`` is not safe in a process with threads.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, Final

from pyglue.process.family import kill_group
from pyglue.process.limits import Rlimits

OUTPUT_LIMIT: Final = 16 * 1024 * 1024
_ERROR_LIMIT: Final = 16 * 1024
_OUT: Final = (signal.SIGKILL, signal.SIGXCPU, signal.SIGXFSZ)
_CHUNK: Final = 64 * 1024


class Overrun(StrEnum):
    """The limit that ended a child; ``stopped``: the caller ended it."""

    TIME = "time"
    OUTPUT = "output"
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How a child ended: exit code (negative: signal), output, shortened errors.

    ``errors`` may contain hostile bytes and host paths: never pass it on unescaped.
    """

    code: int
    output: bytes
    errors: bytes
    overrun: Overrun | None

    @property
    def out_of_resources(self) -> bool:
        """Whether a limit on time, memory, file size or output size ended it."""
        return (
            self.overrun is not None
            or -self.code in _OUT
            or self.code - 128 in _OUT  # the way a sandbox reports it
            or b"out of memory" in self.errors.lower()
            or b"mmap failed" in self.errors.lower()
            or b"MemoryError" in self.errors
        )


class Started:
    """A child that waits for its input; ``finish`` or ``discard`` it once.

    ``stdin`` and ``stdout`` may be files instead of pipes.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: Path | str,
        pass_fds: Sequence[int] = (),
        stdin: IO[bytes] | int = subprocess.PIPE,
        stdout: IO[bytes] | int = subprocess.PIPE,
    ) -> None:
        self._child = subprocess.Popen(
            argv,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=dict(environment),
            cwd=directory,
            pass_fds=tuple(pass_fds),
            start_new_session=True,
            umask=0o022,
        )

    @property
    def alive(self) -> bool:
        """Whether it is running. It is not reaped, so its number stays its own."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._child.pid, flags) is None

    def finish(
        self,
        stdin: bytes | Path | None,
        *,
        timeout: float,
        limits: Rlimits | None = None,
        output_max: int = OUTPUT_LIMIT,
        errors_max: tuple[int, int] = (_ERROR_LIMIT, 0),
        wake: int | None = None,
    ) -> Ran:
        """Feed it its input; return when its whole session has ended.

        The first and last ``errors_max`` bytes of its errors are kept.
        It is stopped as soon as the descriptor ``wake`` is readable.
        """
        deadline = time.monotonic() + timeout
        with self._child as child:
            try:
                if limits is not None:
                    limits.apply(child.pid)
                with _source(stdin) as source:
                    talk = _Conversation(
                        child=child,
                        source=source,
                        deadline=deadline,
                        output_max=output_max,
                        errors=_Ends(first=errors_max[0], last=errors_max[1]),
                        wake=wake,
                    )
                    overrun = talk.hold()
            finally:
                self._kill()
            code = child.wait()
            return Ran(
                code=code,
                output=bytes(talk.output),
                errors=bytes(talk.errors),
                overrun=overrun,
            )

    def discard(self) -> None:
        """Kill it unused; does nothing after ``finish``."""
        if self._child.returncode is not None:
            return
        with self._child:
            self._kill()

    def _kill(self) -> None:
        # The child is not reaped yet, so the group's number is still valid.
        kill_group(self._child.pid)


@contextlib.contextmanager
def _source(stdin: bytes | Path | None) -> Iterator[bytes | IO[bytes]]:
    if isinstance(stdin, Path):
        with stdin.open("rb") as stream:
            yield stream
    else:
        yield stdin or b""


@dataclass(kw_only=True)
class _Ends:
    """The first and the last bytes of a stream."""

    first: int
    last: int
    _head: bytearray = field(default_factory=bytearray, init=False)
    _tail: bytearray = field(default_factory=bytearray, init=False)
    _dropped: int = field(default=0, init=False)

    def __iadd__(self, data: bytes) -> "_Ends":
        left = self.first - len(self._head)
        self._head += data[:left]
        self._tail += data[left:]
        over = len(self._tail) - self.last
        if over > 0:
            del self._tail[:over]
            self._dropped += over
        return self

    def __bytes__(self) -> bytes:
        gap = f"\n[{self._dropped} bytes omitted]\n" if self._dropped else ""
        return bytes(self._head) + (gap.encode() + self._tail if self.last else b"")


@dataclass(kw_only=True)
class _Conversation:
    """Feeds a child and collects its output until it ends or must be ended."""

    child: "subprocess.Popen[bytes]"
    source: bytes | IO[bytes]
    deadline: float
    output_max: int
    errors: _Ends
    wake: int | None
    output: bytearray = field(default_factory=bytearray)
    _pending: memoryview = field(default=memoryview(b""), init=False)
    _selector: selectors.BaseSelector = field(
        default_factory=selectors.DefaultSelector, init=False
    )
    _reading: int = field(default=0, init=False)

    def hold(self) -> Overrun | None:
        """Return None once it has exited and its pipes are empty, or the overrun."""
        if isinstance(self.source, bytes):
            self._pending = memoryview(self.source)
        pidfd = os.pidfd_open(self.child.pid)
        try:
            return self._loop(pidfd)
        finally:
            self._selector.close()
            os.close(pidfd)

    def _loop(self, pidfd: int) -> Overrun | None:
        child, selector = self.child, self._selector
        self._add(child.stdin, selectors.EVENT_WRITE, None)
        self._add(child.stdout, selectors.EVENT_READ, self.output)
        self._add(child.stderr, selectors.EVENT_READ, self.errors)
        selector.register(pidfd, selectors.EVENT_READ)
        if self.wake is not None:
            selector.register(self.wake, selectors.EVENT_READ)
        alive = True
        while alive or self._reading:
            left = self.deadline - time.monotonic()
            if left <= 0:
                return Overrun.TIME
            for key, _ in selector.select(left):
                if key.fd == pidfd:
                    # It is dead; the rest of its group would keep the pipes open.
                    kill_group(child.pid)
                    selector.unregister(pidfd)
                    alive = False
                elif key.fd == self.wake:
                    return Overrun.STOPPED
                elif child.stdin is not None and key.fileobj is child.stdin:
                    self._feed(child.stdin)
                else:
                    self._collect(key)
            if len(self.output) > self.output_max:
                return Overrun.OUTPUT
        return None

    def _add(self, pipe: IO[bytes] | None, events: int, data: object) -> None:
        if pipe is not None:
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, events, data)
            self._reading += data is not None

    def _feed(self, stdin: IO[bytes]) -> None:
        if not self._pending and not isinstance(self.source, bytes):
            self._pending = memoryview(self.source.read(_CHUNK))
        try:
            if self._pending:
                written = os.write(stdin.fileno(), self._pending[:_CHUNK])
                self._pending = self._pending[written:]
                return
        except BlockingIOError:
            return
        except BrokenPipeError:
            pass  # It has stopped reading; its exit code says why.
        self._selector.unregister(stdin)
        with contextlib.suppress(BrokenPipeError):
            stdin.close()

    def _collect(self, key: selectors.SelectorKey) -> None:
        try:
            data = os.read(key.fd, _CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._selector.unregister(key.fileobj)
            self._reading -= 1
            return
        into: Any = key.data
        into += data
