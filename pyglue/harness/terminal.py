"""Terminals for the operator: PTYs with a shell, as this agent's own user.

hived opens them over the link and accepts their output; each terminal has one call in
flight, so a program that floods its PTY waits for the reader. They end with the
connection: a restarted hived knows nothing of them.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from pyglue.api.common import Done
from pyglue.api.terminal import (
    CHUNK,
    TERMINAL_EXIT,
    TERMINAL_INPUT,
    TERMINAL_OUTPUT,
    TERMINAL_RESIZE,
    TERMINAL_START,
    TERMINAL_STOP,
    TerminalExitParams,
    TerminalInputParams,
    TerminalOutputParams,
    TerminalParams,
    TerminalResizeParams,
    TerminalStartParams,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.harness.link.link import Link
from pyglue.jsonrpc import Connection, Handlers
from pyglue.process import PtyShell, describe_exit

Environment = Callable[[], Awaitable[Mapping[str, str]]]

TERMINALS_MAX: Final = 8
_INPUT_MAX: Final = 1 << 20
_log = logging.getLogger(__name__)


class Terminals:
    """All terminals of this harness."""

    def __init__(
        self, link: Link, *, environment: Environment, directory: Path
    ) -> None:
        """``environment`` returns what a shell has besides this process's variables."""
        self._link = link
        self._environment = environment
        self._directory = directory
        self._open: dict[str, _Terminal] = {}

    def add_to(self, handlers: Handlers) -> None:
        """Answer what hived calls."""
        handlers.on(TERMINAL_START, self._start)
        handlers.on_note(TERMINAL_INPUT, self._input)
        handlers.on_note(TERMINAL_RESIZE, self._resize)
        handlers.on_note(TERMINAL_STOP, self._stop)

    def close(self) -> None:
        """End every shell."""
        for terminal in list(self._open.values()):
            terminal.stop()

    async def _start(self, params: TerminalStartParams) -> Done:
        if len(self._open) >= TERMINALS_MAX:
            raise HiveError(
                ErrorCode.TOO_MANY,
                f"This agent already has {TERMINALS_MAX} open terminals; close one.",
            )
        environment = await self._environment()
        connection = await self._link.connection()
        terminal = _Terminal(
            name=params.terminal,
            connection=connection,
            environment={**os.environ, **environment, "TERM": "xterm-256color"},
            directory=self._directory,
        )
        terminal.resize(params.columns, params.rows)
        self._open[params.terminal] = terminal
        connection.on_close(terminal.stop)
        terminal.task.add_done_callback(lambda _: self._open.pop(params.terminal))
        return Done()

    def _input(self, params: TerminalInputParams) -> None:
        terminal = self._open.get(params.terminal)
        if terminal is not None:
            terminal.type(params.data)

    def _resize(self, params: TerminalResizeParams) -> None:
        terminal = self._open.get(params.terminal)
        if terminal is not None:
            terminal.resize(params.columns, params.rows)

    def _stop(self, params: TerminalParams) -> None:
        terminal = self._open.get(params.terminal)
        if terminal is not None:
            terminal.stop()


class _Terminal:
    """One PTY; ``task`` ends when the shell has ended and all output is read."""

    def __init__(
        self,
        *,
        name: str,
        connection: Connection,
        environment: Mapping[str, str],
        directory: Path,
    ) -> None:
        self._name = name
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._typed = bytearray()
        self._shell = PtyShell(environment, directory)
        self._master = self._shell.master
        self.task = asyncio.create_task(self._run())

    def type(self, data: bytes) -> None:
        """Write to the PTY, now or when its reader has space."""
        if self._master < 0:
            return  # it has just ended
        if len(self._typed) + len(data) > _INPUT_MAX:
            _log.warning("a terminal does not read its input; dropping what was typed")
            return
        self._typed += data
        self._write()

    def resize(self, columns: int, rows: int) -> None:
        """Set the size of the window."""
        if self._master < 0:
            return
        with contextlib.suppress(OSError):
            self._shell.resize(columns, rows)

    def stop(self) -> None:
        """End the shell and all of its session."""
        self._shell.kill()

    def _write(self) -> None:
        try:
            written = os.write(self._master, self._typed)
        except BlockingIOError:
            written = 0
        except OSError:
            self._typed.clear()
            written = 0
        del self._typed[:written]
        if self._typed:
            self._loop.add_writer(self._master, self._write)
        else:
            self._loop.remove_writer(self._master)

    async def _run(self) -> None:
        try:
            while (data := await self._read()) and not self._connection.closed:
                output = TerminalOutputParams(terminal=self._name, data=data)
                await self._connection.call(TERMINAL_OUTPUT, output)
        except HiveError as error:
            _log.info("a terminal ended: %s", error.message)
        finally:
            self.stop()
            self._loop.remove_reader(self._master)
            self._loop.remove_writer(self._master)
            os.close(self._master)
            self._master = -1
            code = await asyncio.to_thread(self._shell.wait)
            reason = f"The shell exited: {describe_exit(code)}."
            ended = TerminalExitParams(terminal=self._name, reason=reason)
            self._connection.notify(TERMINAL_EXIT, ended)

    async def _read(self) -> bytes:
        """Return the next output; empty when no program has the PTY open any more."""
        readable = asyncio.Event()
        self._loop.add_reader(self._master, readable.set)
        try:
            await readable.wait()
            return os.read(self._master, CHUNK)
        except OSError:  # EIO: the other side is closed
            return b""
        finally:
            self._loop.remove_reader(self._master)
