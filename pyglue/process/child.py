"""A long-lived child: its output goes to a log, its exit is an event.

Used by the local backend and by ``hive run``. It lives in the event loop, where a pidfd
reports its exit without a thread or SIGCHLD. Start it in the loop's main thread: the
parent-death signal requested by a sandbox follows the thread that started it.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from pyglue.process.family import kill_group
from pyglue.process.limits import Rlimits, RunAs, command_line
from pyglue.process.logfile import LogFile
from pyglue.process.once import could_not_start

_CHUNK: Final = 64 * 1024
_LINE_MAX: Final = 8 * 1024
_LINES_KEPT: Final = 200
_CHUNKS_AFTER: Final = 64


class Clean(Protocol):
    """A filter of a stream of bytes."""

    def feed(self, data: bytes) -> bytes:
        """Add the next bytes; return those that may be passed on."""

    def end(self) -> bytes:
        """Return the bytes that were held back."""


class Child:
    """One running program. Create it with ``Child.start``.

    ``signal_pid`` is the process that is first asked to exit: in a sandbox, that is not
    the process that was started. With ``None`` the whole group is asked.
    """

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        *,
        output: int,
        log: LogFile | None,
        on_line: Callable[[str], None] | None,
        line_max: int = _LINE_MAX,
        clean: Clean | None = None,
    ) -> None:
        self._clean = clean
        self.signal_pid: int | None = None
        self._process = process
        self._output = output
        self._log = log
        self._on_line = on_line
        self._line_max = line_max
        self._partial = bytearray()
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._ended: asyncio.Future[int] = loop.create_future()
        self._pidfd = os.pidfd_open(process.pid)
        loop.add_reader(self._pidfd, self._on_exit)
        loop.add_reader(output, self._read)

    @classmethod
    def start(
        cls,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | str = "/",
        limits: Rlimits | None = None,
        run_as: RunAs | None = None,
        pass_fds: Sequence[int] = (),
        wrapper: Sequence[str] = (),
        log: LogFile | None = None,
        on_line: Callable[[str], None] | None = None,
        line_max: int = _LINE_MAX,
        clean: Clean | None = None,
    ) -> "Child":
        """Start ``argv``; stdout and stderr go to ``log`` and, by line, ``on_line``.

        Lines are cut after ``line_max`` bytes. ``clean`` removes values of secrets from
        the output, before anything else.

        ``pass_fds`` may be closed as soon as this returns. ``wrapper`` is a command
        line that runs the rest of its arguments, before limits and ``run_as`` apply.

        Raises:
            HiveError: ``missing_program``, ``unavailable``.
        """
        line = command_line(
            argv, env=env, limits=limits, run_as=run_as, wrapper=wrapper
        )
        reader, writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(reader, False)
        try:
            process = subprocess.Popen(
                line,
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
                env=dict(env),
                cwd=cwd,
                pass_fds=tuple(pass_fds),
                start_new_session=True,
                umask=0o022,
            )
        except OSError as error:
            os.close(reader)
            raise could_not_start(Path(argv[0]).name, error) from error
        finally:
            os.close(writer)
        return cls(
            process,
            output=reader,
            log=log,
            on_line=on_line,
            line_max=line_max,
            clean=clean,
        )

    @property
    def pid(self) -> int:
        """Process ID of the started program (in a sandbox: of the sandbox)."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code (negative: signal); None while it runs."""
        return self._ended.result() if self._ended.done() else None

    @property
    def lines(self) -> tuple[str, ...]:
        """The latest 200 lines of its output, oldest first."""
        return tuple(self._lines)

    async def wait(self) -> int:
        """Wait for its end and return the exit code (negative: signal)."""
        return await asyncio.shield(self._ended)

    def kill(self) -> None:
        """Kill it, its group and its descendants now."""
        if not self._ended.done():  # Reaped: the number may be reused.
            kill_group(self.pid)

    async def terminate(self, grace_s: float = 5.0) -> int:
        """Ask it to exit, kill its group after ``grace_s`` seconds, return its code."""
        if not self._ended.done():
            self._ask()
            await asyncio.wait([self._ended], timeout=grace_s)
            self.kill()
        return await self.wait()

    def _ask(self) -> None:
        if self.signal_pid is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGTERM)
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.signal_pid, signal.SIGTERM)

    def _on_exit(self) -> None:
        self.kill()  # The rest of its group.
        code = self._process.wait()
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        for _ in range(_CHUNKS_AFTER):  # One outside the group may never stop.
            if self._output < 0 or not self._read():
                break
        self._close_output()
        if self._log is not None:
            self._log.close()
        self._ended.set_result(code)

    def _read(self) -> bool:
        """Read what is available; False if there is no more for now."""
        try:
            data = os.read(self._output, _CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._close_output()
            return False
        self._take(data if self._clean is None else self._clean.feed(data))
        return True

    def _take(self, data: bytes) -> None:
        self._write_log(data)
        self._partial += data
        *whole, rest = self._partial.split(b"\n")
        self._partial = rest
        for line in whole:
            self._say(line)
        if len(rest) > self._line_max:
            self._say(rest)
            self._partial = bytearray()

    def _write_log(self, data: bytes) -> None:
        if self._log is None:
            return
        try:
            self._log.write(data)
        except OSError as error:  # A full disk must not stop the agent.
            self._lines.append(f"[log not written: {error.strerror}]")

    def _say(self, line: bytes | bytearray) -> None:
        text = bytes(line[: self._line_max]).decode("utf-8", "replace")
        self._lines.append(text[:_LINE_MAX])
        if self._on_line is not None:
            self._on_line(text)

    def _close_output(self) -> None:
        if self._output < 0:
            return
        if self._clean is not None:
            self._take(self._clean.end())
        if self._partial:
            self._say(self._partial)
            self._partial = bytearray()
        self._loop.remove_reader(self._output)
        os.close(self._output)
        self._output = -1
