"""A long-lived child that is spoken with: asyncio streams over its three pipes.

Used by the harness for the CLI. It has a process group of its own, in this session: it
can be stopped and continued as a whole, and when this process dies, the kernel wakes
and hangs up a group that was stopped.
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
    """One running program; make it with ``Piped.start``."""

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
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
        """Start ``argv`` with this whole environment.

        A reader of its output refuses lines of more than ``line_max`` bytes.

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
        return cls(process, stdin, *outputs)

    @property
    def pid(self) -> int:
        """Process id, also the group's."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code (negative: signal), None while it runs."""
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> int:
        """Return the exit code (negative: signal) when it has ended."""
        return await asyncio.shield(self._ended)

    def _to_group(self, which: signal.Signals) -> None:
        """Send a signal to its whole group, while it runs."""
        if not self._ended.done():  # reaped since: the number may be another's
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, which)

    def pause(self) -> None:
        """Stop it, not its group, until ``resume``."""
        self._to_it(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._to_it(signal.SIGCONT)

    def _to_it(self, which: signal.Signals) -> None:
        if not self._ended.done():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, which)

    async def close(self, grace_s: float) -> int:
        """End its input, and after each ``grace_s`` ask, then kill; return its code."""
        self.stdin.close()
        self._to_group(signal.SIGCONT)  # one that is stopped reads nothing
        try:
            for which in (signal.SIGTERM, signal.SIGKILL):
                await asyncio.wait([self._ended], timeout=grace_s)
                self._to_group(which)
        except asyncio.CancelledError:
            self._to_group(signal.SIGTERM)
            raise
        return await self.wait()

    def _on_exit(self) -> None:
        self._to_group(signal.SIGKILL)  # what is left of its group
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
