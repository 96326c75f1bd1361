"""Run one process that cannot escape, even if it is compromised.

Used by ``run`` only. A child has its own session, a time limit, a limit on what it
may say and, where its input is hostile, resource limits; when ``run`` returns it and
everything that it started in its session are dead and it is reaped. Blocking.

Resource limits are set with prlimit(2) after the child exists and before it gets its
first byte of input: ``preexec_fn`` is not safe in a process with threads.
"""

import contextlib
import os
import resource
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, Final

OUTPUT_LIMIT: Final = 16 * 1024 * 1024
_ERROR_LIMIT: Final = 16 * 1024
_OUT: Final = (signal.SIGKILL, signal.SIGXCPU, signal.SIGXFSZ)
_CHUNK: Final = 64 * 1024


class Overrun(StrEnum):
    """Which limit of ours ended a child."""

    TIME = "time"
    OUTPUT = "output"


@dataclass(frozen=True)
class ChildLimits:
    """Resource limits of one child: bytes of address space, CPU seconds, file size."""

    memory_bytes: int
    cpu_seconds: int
    file_bytes: int

    def apply(self, pid: int) -> None:
        """Bind the process ``pid``, a child that has not been reaped.

        A stricter limit that this process itself is under stays in force.
        """
        for which, value in (
            (resource.RLIMIT_AS, self.memory_bytes),
            (resource.RLIMIT_CPU, self.cpu_seconds),
            (resource.RLIMIT_FSIZE, self.file_bytes),
            (resource.RLIMIT_CORE, 0),
        ):
            _, hard = resource.getrlimit(which)
            bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.prlimit(pid, which, (bound, bound))


@dataclass(frozen=True)
class Ran:
    """How a child ended: exit code (negative: signal), output, first 16 KiB of errors.

    ``errors`` may quote hostile bytes and host paths: never pass it on unescaped.
    """

    code: int
    output: bytes
    errors: bytes
    overrun: Overrun | None

    @property
    def out_of_resources(self) -> bool:
        """Whether a limit of time, memory, file or output size ended it."""
        return (
            self.overrun is not None
            or -self.code in _OUT
            or self.code - 128 in _OUT  # as a sandbox reports it
            or b"out of memory" in self.errors.lower()
            or b"mmap failed" in self.errors.lower()
            or b"MemoryError" in self.errors
        )


class Started:
    """A child that waits for its input; ``finish`` or ``discard`` it, once."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: Path,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self._child = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=directory,
            pass_fds=tuple(pass_fds),
            start_new_session=True,
            umask=0o022,
        )

    @property
    def alive(self) -> bool:
        """Whether it still runs. It is not reaped, so its number stays its own."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._child.pid, flags) is None

    def finish(
        self, stdin: bytes | Path | None, *, timeout: float, limits: ChildLimits | None
    ) -> Ran:
        """Give it its input and return when nothing of it is left running."""
        deadline = time.monotonic() + timeout
        with self._child as child:
            try:
                if limits is not None:
                    limits.apply(child.pid)
                with _source(stdin) as source:
                    talk = _Conversation(child, source, deadline)
                    overrun = talk.hold()
            finally:
                self._kill()
            code = child.wait()
            return Ran(code, bytes(talk.output), bytes(talk.errors), overrun)

    def discard(self) -> None:
        """End it unused; one that was finished is gone already."""
        if self._child.returncode is not None:
            return
        with self._child:
            self._kill()

    def _kill(self) -> None:
        # The child is not reaped yet, so the group's number is still its own.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)


def run(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    directory: Path,
    stdin: bytes | Path | None,
    timeout: float,
    limits: ChildLimits | None,
    pass_fds: Sequence[int] = (),
) -> Ran:
    """Run one child to its end; whatever happens, nothing of it is left running."""
    child = Started(
        argv, environment=environment, directory=directory, pass_fds=pass_fds
    )
    return child.finish(stdin, timeout=timeout, limits=limits)


@contextlib.contextmanager
def _source(stdin: bytes | Path | None) -> Iterator[bytes | IO[bytes]]:
    if isinstance(stdin, Path):
        with stdin.open("rb") as stream:
            yield stream
    else:
        yield stdin or b""


class _Conversation:
    """Feed a child and collect what it says, until it has exited or overrun."""

    def __init__(
        self,
        child: subprocess.Popen[bytes],
        source: bytes | IO[bytes],
        deadline: float,
    ) -> None:
        self.output = bytearray()
        self.errors = bytearray()
        self._child = child
        self._stream = None if isinstance(source, bytes) else source
        self._pending = memoryview(source if isinstance(source, bytes) else b"")
        self._deadline = deadline
        self._selector = selectors.DefaultSelector()

    def hold(self) -> Overrun | None:
        """Return when the child has exited (None) or must be ended."""
        pidfd = os.pidfd_open(self._child.pid)
        try:
            return self._loop(pidfd)
        finally:
            self._selector.close()
            os.close(pidfd)

    def _loop(self, pidfd: int) -> Overrun | None:
        child, selector = self._child, self._selector
        assert child.stdin and child.stdout and child.stderr  # noqa: S101 (for mypy)
        for pipe in (child.stdin, child.stdout, child.stderr):
            os.set_blocking(pipe.fileno(), False)
        selector.register(child.stdin, selectors.EVENT_WRITE)
        selector.register(child.stdout, selectors.EVENT_READ, self.output)
        selector.register(child.stderr, selectors.EVENT_READ, self.errors)
        selector.register(pidfd, selectors.EVENT_READ)
        reading = 2
        while True:
            left = self._deadline - time.monotonic()
            if left <= 0:
                return Overrun.TIME
            for key, _ in selector.select(left):
                if key.fileobj is child.stdin:
                    self._feed(child.stdin)
                elif key.fd == pidfd:
                    # Dead: what is left of its group would hold the pipes open.
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(child.pid, signal.SIGKILL)
                    selector.unregister(pidfd)
                    self._stop_feeding(child.stdin)
                elif not self._collect(key):
                    selector.unregister(key.fileobj)
                    reading -= 1
            if len(self.output) > OUTPUT_LIMIT:
                return Overrun.OUTPUT
            if reading == 0 and not selector.get_map():
                return None

    def _feed(self, stdin: IO[bytes]) -> None:
        if not self._pending and self._stream is not None:
            self._pending = memoryview(self._stream.read(_CHUNK))
        try:
            if self._pending:
                written = os.write(stdin.fileno(), self._pending[:_CHUNK])
                self._pending = self._pending[written:]
                return
        except BlockingIOError:
            return
        except BrokenPipeError:
            pass  # It has stopped listening; its exit code says why.
        self._stop_feeding(stdin)

    def _stop_feeding(self, stdin: IO[bytes]) -> None:
        if stdin.closed:
            return
        self._selector.unregister(stdin)
        with contextlib.suppress(BrokenPipeError):
            stdin.close()

    def _collect(self, key: selectors.SelectorKey) -> bool:
        """Read once; False at the end. Errors beyond 16 KiB are dropped."""
        try:
            data = os.read(key.fd, _CHUNK)
        except BlockingIOError:
            return True
        into: bytearray = key.data
        if into is self.errors:
            data_kept = data[: _ERROR_LIMIT - len(into)]
            into += data_kept
        else:
            into += data
        return bool(data)
