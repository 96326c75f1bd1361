"""The command line as a user meets it: help, wrong input, no hive, a full disk."""

import argparse
import io
import sys
import threading
from pathlib import Path

import pytest

from checks.kits.cli import HIVE, python, typed
from pyglue.api import operator as api
from pyglue.api.archive import TransferChunk, TransferRef
from pyglue.cli.commands import archive
from pyglue.cli.hive import build_parser
from pyglue.cli.output import spinner as module
from pyglue.cli.output.spinner import SpinnerClient, spinner
from pyglue.jsonrpc import SyncClient
from pyglue.limits import MIB
from pyglue.process import run


def _commands() -> list[str]:
    (directories,) = [
        action
        for action in build_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    ]
    return list(directories.choices)


ASKING = {
    "agents": (),
    "approval": ("1",),
    "approvals": (),
    "approve": ("1", "--commit", "c", "--manifest", "m"),
    "audit": ("verify",),
    "backup": ("-o", "x"),
    "cancel": ("bob",),
    "cancel-operation": ("1",),
    "compact": ("bob",),
    "deny": ("1", "--reason", "r"),
    "destroy": ("bob",),
    "discard": ("bob",),
    "doctor": (),
    "draft": ("bob",),
    "drafts": (),
    "export": ("bob", "-o", "x"),
    "import": ("x",),
    "inbox": (),
    "kept": (),
    "login": (),
    "logs": ("bob",),
    "metrics-token": (),
    "model": ("bob",),
    "operations": (),
    "pause": ("bob",),
    "purge": ("bob",),
    "rebuild": ("bob",),
    "restart": ("bob",),
    "restore": ("bob",),
    "resume": ("bob",),
    "rollback": ("bob", "1"),
    "send": ("bob", "text"),
    "spawn": ("bob",),
    "start": ("bob",),
    "status": (),
    "stop": ("bob",),
}
"""Words for each command that needs a hive."""
OTHERS = {"run", "demo", "manifest", "restore-backup", "shell"}


def test_every_command_is_tried_here() -> None:
    assert set(_commands()) == {*ASKING, *OTHERS}


def test_help_says_what_each_command_does(capsys: pytest.CaptureFixture[str]) -> None:
    parser = build_parser()
    for words in ([], *([command] for command in _commands())):
        with pytest.raises(SystemExit) as ended:
            parser.parse_args([*words, "--help"])
        assert ended.value.code == 0
        said = capsys.readouterr().out
        assert said.startswith(f"usage: hive {' '.join(words)}".rstrip())
        assert len(said.split("\n\n")[1]) > 10  # what it is for


@pytest.mark.parametrize("command", ASKING)
def test_without_a_hive_one_sentence_says_so(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    socket = str(tmp_path / "none")
    words = (command, *ASKING[command], "--socket", socket)
    last = typed(monkeypatch, capsys, *words).refusal()
    assert last == (
        f"hive: hived does not answer at {socket} (No such file or directory). Is the "
        "hive running?"
    )
    said = typed(monkeypatch, capsys, *words, "--json").error()
    assert said["code"] == "unavailable"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("nothing",),
        ("approval",),
        ("approval", "one"),
        ("approve", "1"),
        ("audit",),
        ("audit", "forge"),
        ("cancel-operation", "x"),
        ("deny", "1"),
        ("export", "bob"),
        ("logs", "bob", "-n", "abc"),
        ("logs", "bob", "-n", "0"),
        ("logs", "bob", "-n", "9" * 5000),
        ("logs", "bob", "--unit", "kernel"),
        ("restore-backup", "x"),
        ("rollback", "bob", "last"),
        ("run", "--port", "x"),
        ("send", "bob"),
        ("status", "--bogus"),
    ],
)
def test_wrong_words_are_refused_with_the_usage(
    words: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = typed(monkeypatch, capsys, *words)
    assert said.err.startswith("usage: hive")
    assert "invalid _" not in said.err  # a name of our own code
    said.refusal(code=2)


async def test_a_full_disk_behind_stdout_is_a_sentence() -> None:
    code = (
        "import os, sys; os.dup2(os.open('/dev/full', os.O_WRONLY), 1);"
        "sys.argv = ['hive', '--version']; import pyglue.cli.hive as it;"
        "it.build_parser = lambda: it.argparse.ArgumentParser();"
        "it.argparse.ArgumentParser.parse_args = lambda self: it.argparse.Namespace("
        "call=lambda _: sys.stdout.write('x') - 1, json=False); it.main()"
    )
    done = await run([sys.executable, "-P", "-c", code], env={}, timeout=60)
    assert done.stderr.decode() == (
        "hive: cannot read or write The output: No space left on device.\n"
    )
    assert done.code == 1


async def test_hive_runs_as_a_program(tmp_path: Path) -> None:
    said = await python(HIVE, "status", "--state", tmp_path)
    assert "Is the hive running?" in said.refusal()


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
    archive.backup(client, argparse.Namespace(output=str(target)))
    assert target.stat().st_size == MIB
    assert terminal.getvalue().endswith("\r\x1b[K")
