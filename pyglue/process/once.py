"""Run one program to its end, from a thread or from asyncio.

``started`` has the mechanics of both; ``run`` uses a thread of its own, so starting a
program never delays the event loop and a long build occupies no place in a shared pool.
When either returns, the program is reaped and the rest of its session is dead.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Required, TypedDict, Unpack

from pyglue.errors import ErrorCode, HiveError
from pyglue.process.limits import Rlimits, RunAs, command_line
from pyglue.process.started import OUTPUT_LIMIT, Overrun, Started

_ERRORS_EACH_END: Final = 32 * 1024


@dataclass(frozen=True, kw_only=True)
class Completed:
    """How a program ended: exit code (negative: signal), output, seconds.

    ``stdout`` is empty if it went to a file. More than 64 KiB of ``stderr`` are cut in
    the middle. Both may contain hostile bytes and paths of the host.
    """

    code: int
    stdout: bytes
    stderr: bytes
    seconds: float


def describe_exit(code: int) -> str:
    """Describe in words how a program ended."""
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"


class Options(TypedDict, total=False):
    """How a program is run: ``timeout`` in seconds, sizes in bytes.

    ``env`` is its whole environment; ``argv[0]`` is looked up in its PATH. ``stdin``
    is bytes or a file; None is empty. With ``stdout`` the output goes to that file,
    limited only by ``limits.file_size``. ``wrapper`` is a command line that runs the
    rest of its arguments, before limits and ``run_as`` apply.
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
    return await _threaded(job.name, lambda wake: _run(job, wake))


class Standby:
    """A program that was started before its input is known: finish or discard it once.

    Blocking; the thread that creates it must live on, because the parent-death signal
    of a sandbox follows it. ``stdin`` and ``stdout`` are not among its options, and
    ``pass_fds`` may be closed afterwards. Its timeout begins with ``finish``.

    Raises:
        HiveError: ``missing_program``, ``unavailable``.
    """

    def __init__(self, argv: Sequence[str], **options: Unpack[Options]) -> None:
        self._job = _Job(argv=argv, **options)
        self._child = _started(self._job, subprocess.PIPE, subprocess.PIPE)

    @property
    def alive(self) -> bool:
        """Whether it is still running, and idle."""
        return self._child.alive

    async def finish(self, stdin: bytes) -> Completed:
        """Feed it its input; return when it has exited. Cancelling kills it first.

        Raises:
            HiveError: ``timeout``, ``too_large``.
        """
        job, child = self._job, self._child
        return await _threaded(job.name, lambda wake: _finish(job, child, stdin, wake))

    def discard(self) -> None:
        """Kill it unused; does nothing after ``finish``."""
        self._child.discard()


async def _threaded(name: str, work: Callable[[int], Completed]) -> Completed:
    """Run ``work`` in a thread of its own; its descriptor tells it to stop."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Completed] = loop.create_future()
    wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    threading.Thread(
        target=_in_thread, args=(work, wake, loop, done), name=name, daemon=True
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
    work: Callable[[int], Completed],
    wake: int,
    loop: asyncio.AbstractEventLoop,
    done: "asyncio.Future[Completed]",
) -> None:
    result: Completed | BaseException
    try:
        result = work(wake)
    except BaseException as error:
        result = error

    def settle() -> None:
        if done.done():
            return
        if isinstance(result, Completed):
            done.set_result(result)
        else:
            done.set_exception(result)

    with contextlib.suppress(RuntimeError):  # The loop is closed, so nobody is waiting.
        loop.call_soon_threadsafe(settle)


def _run(job: _Job, wake: int | None) -> Completed:
    with contextlib.ExitStack() as stack:
        source: IO[bytes] | int = subprocess.DEVNULL
        sink: IO[bytes] | int = subprocess.PIPE
        try:
            if isinstance(job.stdin, Path):
                source = stack.enter_context(job.stdin.open("rb"))
            elif job.stdin is not None:
                source = subprocess.PIPE
            if job.stdout is not None:
                sink = stack.enter_context(job.stdout.open("wb"))
        except OSError as error:
            raise could_not_start(job.name, error) from error
        child = _started(job, source, sink)
        given = job.stdin if isinstance(job.stdin, bytes) else None
        return _finish(job, child, given, wake)


def _started(job: _Job, source: IO[bytes] | int, sink: IO[bytes] | int) -> Started:
    line = command_line(
        job.argv,
        env=job.env,
        limits=job.limits,
        run_as=job.run_as,
        wrapper=job.wrapper,
    )
    try:
        return Started(
            line,
            environment=job.env,
            directory=job.cwd,
            pass_fds=job.pass_fds,
            stdin=source,
            stdout=sink,
        )
    except OSError as error:
        raise could_not_start(job.name, error) from error


def _finish(
    job: _Job, child: Started, stdin: bytes | None, wake: int | None
) -> Completed:
    began = time.monotonic()
    ran = child.finish(
        stdin,
        timeout=job.timeout,
        output_max=job.max_output,
        errors_max=(_ERRORS_EACH_END, _ERRORS_EACH_END),
        wake=wake,
    )
    if ran.overrun is not None:
        raise _stopped(job, ran.overrun)
    return Completed(
        code=ran.code,
        stdout=ran.output,
        stderr=ran.errors,
        seconds=time.monotonic() - began,
    )


def _stopped(job: _Job, overrun: Overrun) -> HiveError:
    match overrun:
        case Overrun.TIME:
            return HiveError(
                ErrorCode.TIMEOUT,
                f"{job.name} did not finish within {job.timeout:g} s and was stopped.",
                details={"program": job.name, "timeout_s": job.timeout},
            )
        case Overrun.OUTPUT:
            return HiveError(
                ErrorCode.TOO_LARGE,
                f"{job.name} produced more than {job.max_output} bytes of output and "
                "was stopped.",
                details={"program": job.name, "limit": job.max_output},
            )
        case Overrun.STOPPED:
            return HiveError(ErrorCode.CANCELLED, f"{job.name} was stopped.")


def could_not_start(name: str, error: OSError) -> HiveError:
    """Return the error for a program that exists but cannot be started."""
    return HiveError(
        ErrorCode.UNAVAILABLE,
        f"Could not start {name}: {error.strerror or error}.",
        details={"program": name},
    )
