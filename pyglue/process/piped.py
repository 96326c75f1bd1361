"""A long-lived, interactive child: asyncio streams over its three pipes.

Used by the harness for the CLI. It has a process group of its own in this session, so
it can be stopped and continued as a whole, and if this process dies, the kernel sends
SIGHUP and SIGCONT to a group that was stopped.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from pyglue.process.once import could_not_start


class Piped:
    """One running program; create it with ``Piped.start``."""

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        *,
        stdin: asyncio.StreamWriter,
        stdout: asyncio.StreamReader,
        stderr: asyncio.StreamReader,
    ) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._pidfd = os.pidfd_open(process.pid)
        self._loop.add_reader(self._pidfd, self._on_exit)

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | str,
        line_max: int,
    ) -> "Piped":
        """Start ``argv`` with exactly this environment.

        Reading a line of its output fails beyond ``line_max`` bytes.

        Raises:
            HiveError: ``missing_program``, ``unavailable``.
        """
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(env),
                cwd=cwd,
                process_group=0,
            )
        except OSError as error:
            raise could_not_start(Path(argv[0]).name, error) from error
        assert process.stdin and process.stdout and process.stderr  # noqa: S101
        loop = asyncio.get_running_loop()
        outputs = [await _reader(p, line_max) for p in (process.stdout, process.stderr)]
        flow = asyncio.streams.FlowControlMixin()
        transport, _ = await loop.connect_write_pipe(lambda: flow, process.stdin)
        stdin = asyncio.StreamWriter(transport, flow, None, loop)
        return cls(process, stdin=stdin, stdout=outputs[0], stderr=outputs[1])

    @property
    def pid(self) -> int:
        """Process ID, also that of the group."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code (negative: signal); None while it runs."""
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> int:
        """Wait for its end and return the exit code (negative: signal)."""
        return await asyncio.shield(self._ended)

    def _to_group(self, which: signal.Signals) -> None:
        """Send a signal to its whole group if it is running."""
        if not self._ended.done():  # reaped: the number may be reused
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, which)

    def pause(self) -> None:
        """Stop the process, not its group, until ``resume``."""
        self._to_it(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue it."""
        self._to_it(signal.SIGCONT)

    def _to_it(self, which: signal.Signals) -> None:
        if not self._ended.done():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, which)

    async def close(self, grace_s: float) -> int:
        """Close its input, terminate, then kill it; return its code."""
        self.stdin.close()
        self._to_group(signal.SIGCONT)  # a stopped process reads nothing
        try:
            for which in (signal.SIGTERM, signal.SIGKILL):
                await asyncio.wait([self._ended], timeout=grace_s)
                self._to_group(which)
        except asyncio.CancelledError:
            self._to_group(signal.SIGTERM)
            raise
        return await self.wait()

    def _on_exit(self) -> None:
        self._to_group(signal.SIGKILL)  # the rest of its group
        code = self._process.wait()
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self.stdin.close()
        self._ended.set_result(code)


async def _reader(pipe: IO[bytes], line_max: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=line_max)
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
    return reader
