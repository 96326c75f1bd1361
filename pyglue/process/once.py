"""Run one program to its end, from a thread or from asyncio.

One loop over pipes, a pidfd and a wake-up descriptor serves both; ``run`` puts it in a
thread of its own, so starting a program never holds up the event loop and a long build
takes no place in a shared pool. When either returns, the program and all that is left
of its session are dead and it is reaped.
"""

import asyncio
import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Required, TypedDict, Unpack

from pyglue.errors import ErrorCode, HiveError
from pyglue.process.limits import Rlimits, RunAs, command_line

OUTPUT_LIMIT: Final = 16 * 1024 * 1024
_ERRORS_EACH_END: Final = 32 * 1024
_CHUNK: Final = 64 * 1024


@dataclass(frozen=True)
class Completed:
    """How a program ended: exit code (negative: signal), what it wrote, seconds.

    ``stdout`` is empty if it went to a file. ``stderr`` is cut in the middle beyond
    64 KiB. Both may quote hostile bytes and host paths.
    """

    code: int
    stdout: bytes
    stderr: bytes
    seconds: float


def describe_exit(code: int) -> str:
    """Say in words how a program ended."""
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"


class Options(TypedDict, total=False):
    """How a program is run: ``timeout`` in seconds, sizes in bytes.

    ``env`` is all that it sees of an environment; ``argv[0]`` is looked up in its PATH.
    ``stdin`` is bytes or a file, None is empty. With ``stdout`` the output goes to that
    file, bounded by ``limits.file_size`` only. ``wrapper`` is a command line that runs
    the rest of its arguments, before limits and ``run_as`` hold.
    """

    env: Required[Mapping[str, str]]
    timeout: Required[float]
    cwd: Path | str
    stdin: bytes | Path | None
    stdout: Path | None
    limits: Rlimits | None
    run_as: RunAs | None
    pass_fds: Sequence[int]
    wrapper: Sequence[str]
    max_output: int


@dataclass(frozen=True, kw_only=True)
class _Job:
    argv: Sequence[str]
    env: Mapping[str, str]
    timeout: float
    cwd: Path | str = "/"
    stdin: bytes | Path | None = None
    stdout: Path | None = None
    limits: Rlimits | None = None
    run_as: RunAs | None = None
    pass_fds: Sequence[int] = ()
    wrapper: Sequence[str] = ()
    max_output: int = OUTPUT_LIMIT

    @property
    def name(self) -> str:
        return Path(self.argv[0]).name


def run_sync(argv: Sequence[str], **options: Unpack[Options]) -> Completed:
    """Run ``argv`` to its end. Blocking; see ``Options``.

    Raises:
        HiveError: ``missing_program``, ``timeout``, ``too_large``, ``unavailable``.
    """
    return _run(_Job(argv=argv, **options), None)


async def run(argv: Sequence[str], **options: Unpack[Options]) -> Completed:
    """Run ``argv`` to its end as ``run_sync`` does; cancelling kills it first.

    ``pass_fds`` must stay open until this returns.

    Raises:
        HiveError: ``missing_program``, ``timeout``, ``too_large``, ``unavailable``.
    """
    job = _Job(argv=argv, **options)
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Completed] = loop.create_future()
    wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    threading.Thread(
        target=_in_thread, args=(job, wake, loop, done), name=job.name, daemon=True
    ).start()
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        os.eventfd_write(wake, 1)
        while not done.done():  # A second cancellation must not leave it running.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([done])
        raise
    finally:
        if done.done() and not done.cancelled():
            done.exception()
        os.close(wake)


def _in_thread(
    job: _Job,
    wake: int,
    loop: asyncio.AbstractEventLoop,
    done: "asyncio.Future[Completed]",
) -> None:
    result: Completed | BaseException
    try:
        result = _run(job, wake)
    except BaseException as error:
        result = error

    def settle() -> None:
        if done.done():
            return
        if isinstance(result, Completed):
            done.set_result(result)
        else:
            done.set_exception(result)

    with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits.
        loop.call_soon_threadsafe(settle)


def _run(job: _Job, wake: int | None) -> Completed:
    line = command_line(
        job.argv,
        env=job.env,
        limits=job.limits,
        run_as=job.run_as,
        wrapper=job.wrapper,
    )
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        child = _spawn(job, line, stack)
        talk = _Conversation(job, child, wake, began + job.timeout)
        try:
            talk.hold()
        finally:
            # Not reaped yet, so the group's number is still its own.
            _kill_group(child.pid)
            child.wait()
        return Completed(
            child.returncode,
            bytes(talk.output),
            bytes(talk.errors),
            time.monotonic() - began,
        )


def _spawn(
    job: _Job, line: list[str], stack: contextlib.ExitStack
) -> "subprocess.Popen[bytes]":
    try:
        source: IO[bytes] | int = subprocess.DEVNULL
        if isinstance(job.stdin, Path):
            source = stack.enter_context(job.stdin.open("rb"))
        elif job.stdin is not None:
            source = subprocess.PIPE
        sink: IO[bytes] | int = subprocess.PIPE
        if job.stdout is not None:
            sink = stack.enter_context(job.stdout.open("wb"))
        child = subprocess.Popen(
            line,
            stdin=source,
            stdout=sink,
            stderr=subprocess.PIPE,
            env=dict(job.env),
            cwd=job.cwd,
            pass_fds=tuple(job.pass_fds),
            start_new_session=True,
            umask=0o022,
        )
    except OSError as error:
        raise could_not_start(job.name, error) from error
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            stack.callback(_close, pipe)
    return child


def could_not_start(name: str, error: OSError) -> HiveError:
    """Return what a caller hears when a program that exists cannot be started."""
    return HiveError(
        ErrorCode.UNAVAILABLE,
        f"Could not start {name}: {error.strerror or error}.",
        details={"program": name},
    )


def _close(pipe: IO[bytes]) -> None:
    with contextlib.suppress(OSError):
        pipe.close()


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


class _Conversation:
    """Feed a program and collect what it writes until it ends or must be ended."""

    def __init__(
        self,
        job: _Job,
        child: "subprocess.Popen[bytes]",
        wake: int | None,
        deadline: float,
    ) -> None:
        self.output = bytearray()
        self.errors = _Ends()
        self._job = job
        self._child = child
        self._wake = wake
        self._deadline = deadline
        self._pending = memoryview(job.stdin if isinstance(job.stdin, bytes) else b"")
        self._selector = selectors.DefaultSelector()
        self._reading = 0

    def hold(self) -> None:
        """Return when the program has ended and its pipes are empty."""
        pidfd = os.pidfd_open(self._child.pid)
        try:
            self._loop(pidfd)
        finally:
            self._selector.close()
            os.close(pidfd)

    def _loop(self, pidfd: int) -> None:
        child = self._child
        self._add(child.stdin, selectors.EVENT_WRITE, None)
        self._add(child.stdout, selectors.EVENT_READ, self.output)
        self._add(child.stderr, selectors.EVENT_READ, self.errors)
        self._selector.register(pidfd, selectors.EVENT_READ)
        if self._wake is not None:
            self._selector.register(self._wake, selectors.EVENT_READ)
        alive = True
        while alive or self._reading:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise self._too_long()
            for key, _ in self._selector.select(left):
                if key.fd == pidfd:
                    # What is left of its group would hold the pipes open.
                    _kill_group(child.pid)
                    self._selector.unregister(pidfd)
                    alive = False
                elif key.fd == self._wake:
                    raise HiveError(
                        ErrorCode.CANCELLED, f"{self._job.name} was stopped."
                    )
                elif key.fileobj is child.stdin:
                    self._feed()
                else:
                    self._collect(key)

    def _add(self, pipe: IO[bytes] | None, events: int, data: object) -> None:
        if pipe is not None:
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, events, data)
            self._reading += data is not None

    def _feed(self) -> None:
        stdin = self._child.stdin
        assert stdin is not None  # noqa: S101 (for mypy: it is registered)
        try:
            if self._pending:
                written = os.write(stdin.fileno(), self._pending[:_CHUNK])
                self._pending = self._pending[written:]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._pending = memoryview(b"")  # Its exit code says why.
        if not self._pending:
            self._selector.unregister(stdin)
            _close(stdin)

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
        if len(self.output) > self._job.max_output:
            raise HiveError(
                ErrorCode.TOO_LARGE,
                f"{self._job.name} produced more than {self._job.max_output} bytes of "
                "output and was stopped.",
                details={"program": self._job.name, "limit": self._job.max_output},
            )

    def _too_long(self) -> HiveError:
        return HiveError(
            ErrorCode.TIMEOUT,
            f"{self._job.name} did not finish within {self._job.timeout:g} s and was "
            "stopped.",
            details={"program": self._job.name, "timeout_s": self._job.timeout},
        )


class _Ends:
    """The first and the last 32 KiB of a stream."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0

    def __iadd__(self, data: bytes) -> "_Ends":
        room = _ERRORS_EACH_END - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        over = len(self._tail) - _ERRORS_EACH_END
        if over > 0:
            del self._tail[:over]
            self._dropped += over
        return self

    def __bytes__(self) -> bytes:
        gap = f"\n[{self._dropped} bytes omitted]\n".encode() if self._dropped else b""
        return bytes(self._head) + gap + bytes(self._tail)
