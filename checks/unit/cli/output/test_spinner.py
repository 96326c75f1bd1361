"""Progress shown while hive waits, and errors when hived does not answer."""

import argparse
import asyncio
import io
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from checks.kits.cli.run import ASKING, HIVE, typed
from checks.kits.patience import PATIENCE_S
from pyglue.api import operator as api
from pyglue.api.archive import TransferChunk, TransferRef
from pyglue.api.common import PROTOCOL, HelloResult, Role
from pyglue.cli.commands import archive
from pyglue.cli.output import spinner as module
from pyglue.cli.output.spinner import SpinnerClient, spinner
from pyglue.jsonrpc import SyncClient
from pyglue.jsonrpc.wire import result_line
from pyglue.limits import MIB


class Terminal(io.StringIO):
    """A terminal that tells when something is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown = threading.Event()

    def isatty(self) -> bool:
        return True

    def flush(self) -> None:
        self.shown.set()


def test_what_takes_long_shows_that_it_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_SILENT_S", 0.0)
    terminal = Terminal()
    with spinner("Uploading", terminal):
        assert terminal.shown.wait(60)
    assert "Uploading … 0 s" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_what_is_quick_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SILENT_S", 3600.0)
    terminal = Terminal()
    with spinner("Uploading", terminal):
        pass
    assert terminal.getvalue() == ""


def test_a_script_sees_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SILENT_S", 0.0)
    out = io.StringIO()
    with spinner("Uploading", out):
        pass
    assert out.getvalue() == ""


def test_a_log_gets_a_line_of_what_takes_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Log(Terminal):
        def isatty(self) -> bool:
            return False

    monkeypatch.setattr(module, "_SCRIPT_SILENT_S", 0.001)
    out = Log()
    with spinner("Uploading", out):
        assert out.shown.wait(60)
    assert out.getvalue() == "hive: Uploading … 0 s\n"


@contextmanager
def deaf(path: Path, *, greets: bool = False) -> Iterator[threading.Event]:
    """Listen as a hived that is stopped does; the event: something was asked."""
    asked = threading.Event()

    def serve() -> None:
        with suppress(OSError):
            peer, _ = listening.accept()
            kept.append(peer)
            if greets:
                peer.recv(65536)
                hello = HelloResult(protocol=PROTOCOL, role=Role.OPERATOR, server="0")
                peer.sendall(result_line(1, hello))
                if peer.recv(65536):
                    asked.set()

    kept: list[socket.socket] = []
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield asked
        for peer in kept:
            peer.close()


@pytest.mark.parametrize("command", ["status", "logs", "audit"])
def test_a_hived_that_hangs_is_an_error_within_seconds(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_HELLO_S", 0.05)
    path = tmp_path / "s"
    with deaf(path):
        words = (command, *ASKING[command], "--socket", str(path))
        last = typed(*words).refusal()
    assert f"hived did not answer at {path} within 0.05 s." in last


async def test_ctrl_c_says_what_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with deaf(path, greets=True) as asked:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", HIVE, "restart", "bob", "--socket", str(path)),
            stderr=asyncio.subprocess.PIPE,
        )
        assert await asyncio.to_thread(asked.wait, PATIENCE_S)
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
    assert process.returncode == 130
    text = errors.decode()
    assert text == "hive: interrupted. hived continues the request.\n"


def test_a_backup_shows_that_it_goes_on_from_its_beginning_to_its_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Both while the hive prepares it and while it is written."""
    monkeypatch.setattr(module, "_SILENT_S", 0.0)
    monkeypatch.setattr(module, "_EVERY_S", 0.001)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    chunks = [
        TransferChunk(data=b"x" * MIB, end=False),
        TransferChunk(data=b"", end=True),
    ]

    def until_shown(text: str) -> None:
        while text not in terminal.getvalue():
            terminal.shown.clear()
            assert terminal.shown.wait(60)

    def call(_: SyncClient, method: object, *__: object, **___: object) -> object:
        if method is api.BACKUP:
            until_shown("Working")
            return TransferRef(transfer="t")
        until_shown("Downloading: 1 MiB" if len(chunks) == 1 else "Downloading …")
        return chunks.pop(0)

    monkeypatch.setattr(SyncClient, "call", call)
    target = tmp_path / "hive.backup"
    client = object.__new__(SpinnerClient)
    asked = argparse.Namespace(output=str(target), with_secrets=False, recipient=None)
    archive.backup(client, asked)
    assert target.stat().st_size == MIB
    assert terminal.getvalue().endswith("\r\x1b[K")
