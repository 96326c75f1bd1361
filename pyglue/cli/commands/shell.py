"""``hive shell NAME``: a terminal in an agent's container.

It goes through the harness, like the dashboard's terminal. When the harness is not
running, the error names the host command that opens a shell without it.
"""

import argparse
import contextlib
import fcntl
import os
import select
import signal
import struct
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pyglue.api.terminal import (
    CHUNK,
    TERMINAL_ACK,
    TERMINAL_ATTACH,
    TERMINAL_CLOSE,
    TERMINAL_DATA,
    TERMINAL_ENDED,
    TERMINAL_INPUT,
    TERMINAL_OPEN,
    TERMINAL_RESIZE,
    TerminalAckParams,
    TerminalAttachParams,
    TerminalDataParams,
    TerminalInputParams,
    TerminalOpenParams,
    TerminalParams,
    TerminalResizeParams,
)
from pyglue.cli.commands.command import agent_argument
from pyglue.cli.output.spinner import SpinnerClient
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import SyncClient

_IN: Final = 0
_OUT: Final = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``shell``."""
    agent_argument(parser)


def run(socket: Path, arguments: argparse.Namespace) -> int:
    """Attach the terminal until the shell exits.

    Raises:
        HiveError: ``bad_request`` without a terminal; hived refused.
    """
    if not (os.isatty(_IN) and os.isatty(_OUT)):
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            "`hive shell` needs a terminal: run it interactively, not in a pipe.",
        )
    client = SpinnerClient(socket)
    try:
        reason = _be_terminal(client, arguments.agent)
    finally:
        client.close()
    sys.stderr.write(f"{reason}\n")
    return 0


def _be_terminal(client: SyncClient, agent: str) -> str:
    columns, rows = _size()
    asked = TerminalOpenParams(agent=agent, columns=columns, rows=rows)
    terminal = client.call(TERMINAL_OPEN, asked).terminal
    client.call(TERMINAL_ATTACH, TerminalAttachParams(terminal=terminal))
    ended, wake = os.pipe()
    reasons: list[str] = []
    reader = threading.Thread(
        target=_show, args=(client, terminal, wake, reasons), daemon=True
    )

    def resized(_signal: int, _frame: object) -> None:
        columns, rows = _size()
        size = TerminalResizeParams(terminal=terminal, columns=columns, rows=rows)
        client.notify(TERMINAL_RESIZE, size)

    before = signal.signal(signal.SIGWINCH, resized)
    try:
        with _raw():
            reader.start()
            _type(client, terminal, ended)
    finally:
        signal.signal(signal.SIGWINCH, before)
        os.close(ended)
    if not reasons:  # our own input ended first
        client.call(TERMINAL_CLOSE, TerminalParams(terminal=terminal))
    return reasons[0] if reasons else "The terminal was closed."


def _type(client: SyncClient, terminal: str, ended: int) -> None:
    """Send keys until the other side ends, or our own input does."""
    while True:
        ready, _, _ = select.select([_IN, ended], [], [])
        if ended in ready:
            return
        data = os.read(_IN, CHUNK)
        if not data:
            return
        client.notify(TERMINAL_INPUT, TerminalInputParams(terminal=terminal, data=data))


def _show(client: SyncClient, terminal: str, wake: int, reasons: list[str]) -> None:
    """In a thread: write output, and wake the other one at the end."""
    with contextlib.suppress(HiveError):
        for note in client.stream(TERMINAL_DATA, TERMINAL_ENDED):
            if not isinstance(note, TerminalDataParams):
                reasons.append(note.reason)
                break
            _write(note.data)
            shown = TerminalAckParams(
                terminal=terminal, offset=note.offset + len(note.data)
            )
            client.notify(TERMINAL_ACK, shown)
    if not reasons:
        reasons.append("The connection to the hive was lost.")
    os.close(wake)


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(_OUT, data) :]


def _size() -> tuple[int, int]:
    size = fcntl.ioctl(_IN, termios.TIOCGWINSZ, b"\0" * 8)
    rows, columns, _, _ = struct.unpack("HHHH", size)
    return columns or 80, rows or 24  # 0: a terminal that does not know


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """Pass every key on, and leave the terminal as it was."""
    before = termios.tcgetattr(_IN)
    tty.setraw(_IN)
    try:
        yield
    finally:
        termios.tcsetattr(_IN, termios.TCSADRAIN, before)
