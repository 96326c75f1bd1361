"""The command line as a user meets it: help, wrong input, no hive, a full disk."""

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
from typing import cast

import pytest

from checks.kits.cli import HIVE, python, typed
from pyglue.api import operator as api
from pyglue.api.archive import TransferChunk, TransferRef
from pyglue.api.common import PROTOCOL, HelloResult, Role
from pyglue.api.inbox import InboxMessage, InboxParams, InboxResult
from pyglue.api.messages import MessageKind, Priority, ShownMessage
from pyglue.cli.commands import archive, messages
from pyglue.cli.hive import build_parser, main
from pyglue.cli.output import spinner as module
from pyglue.cli.output.spinner import SpinnerClient, spinner
from pyglue.cli.words import TEXTS, fill_texts
from pyglue.jsonrpc import SyncClient
from pyglue.jsonrpc.wire import result_line
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
    "account": ("bob", "team"),
    "accounts": (),
    "agents": (),
    "approval": ("1",),
    "approvals": (),
    "approve": ("1", "--commit", "c", "--manifest", "m"),
    "audit": ("verify",),
    "backup": ("-o", "x"),
    "cancel": ("bob",),
    "cancel-operation": ("1",),
    "compact": ("bob",),
    "compare": ("bob", "1", "2"),
    "new-session": ("bob",),
    "deny": ("1", "--reason", "r"),
    "request-changes": ("1", "--comment", "a:1=why"),
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
    "queue": ("bob",),
    "resume": ("bob",),
    "retry": ("1",),
    "rollback": ("bob", "1"),
    "secret": ("list",),
    "workspace": ("list",),
    "notifications": ("list",),
    "send": ("bob", "text"),
    "spawn": ("bob",),
    "start": ("bob",),
    "status": (),
    "stop": ("bob",),
    "wakeups": ("bob",),
}
"""Words for each command that needs a hive."""
OTHERS = {"completion", "run", "demo", "manifest", "restore-backup", "shell"}


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
        ("retry", "bob"),
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
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(module, "_HELLO_S", 0.05)
    path = tmp_path / "s"
    with deaf(path):
        words = (command, *ASKING[command], "--socket", str(path))
        last = typed(monkeypatch, capsys, *words).refusal()
    assert f"hived did not answer at {path} within 0.05 s." in last


async def test_ctrl_c_says_what_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with deaf(path, greets=True) as asked:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", HIVE, "restart", "bob", "--socket", str(path)),
            stderr=asyncio.subprocess.PIPE,
        )
        assert await asyncio.to_thread(asked.wait, 60)
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
    assert process.returncode == 130
    text = errors.decode()
    assert text == "hive: interrupted. hived goes on with what it was asked to do.\n"


@pytest.mark.parametrize(
    "words", [("send", "bob", "caf\udce9"), ("send", "caf\udce9", "x")]
)
def test_an_argument_that_is_no_text_is_named(
    words: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    last = typed(monkeypatch, capsys, *words).refusal()
    assert last == "hive: “caf\\xe9” is not valid UTF-8. Pass text as UTF-8."
    said = typed(monkeypatch, capsys, *words, "--json").error()
    assert said["code"] == "bad_request"


def stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


@pytest.mark.parametrize(
    "words",
    [
        ("send", "bob", "-"),
        ("deny", "1", "--reason", "-"),
        ("request-changes", "1", "--reason", "-"),
        ("pause", "bob", "--reason", "-"),
        ("cancel", "bob", "--reason", "-"),
        ("cancel-operation", "1", "--reason", "-"),
        ("spawn", "bob", "--description", "-"),
        ("draft", "bob", "--description", "-"),
    ],
)
def test_a_dash_reads_the_text_from_standard_input(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "é\0\n" * 50_000
    stdin(monkeypatch, text.encode())
    arguments = build_parser().parse_args(words)
    fill_texts(arguments)
    assert text in vars(arguments).values()


def test_each_text_can_come_from_standard_input() -> None:
    (commands,) = [
        action
        for action in build_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    ]
    found = {
        action.dest
        for parser in commands.choices.values()
        for action in parser._actions
        if action.metavar == "TEXT"
    }
    assert found == set(TEXTS)


def test_a_byte_order_mark_is_no_part_of_the_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stdin(monkeypatch, b"\xef\xbb\xbfhi")
    arguments = build_parser().parse_args(("send", "bob", "-"))
    fill_texts(arguments)
    assert arguments.body == "hi"


def test_a_closed_standard_input_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    refused = typed(monkeypatch, capsys, "send", "bob", "-").refusal()
    assert "Standard input is closed" in refused


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"x" * 300 * 1024, "The message is 300 KiB; at most 256 KiB. Put it in a"),
        (b"ab\xff", "Standard input is not valid UTF-8 (byte 3)."),
        ("hi".encode("utf-16"), "Standard input is not valid UTF-8 (byte 1)."),
    ],
)
def test_what_cannot_be_sent_is_refused_with_the_reason(
    data: bytes,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stdin(monkeypatch, data)
    assert sentence in typed(monkeypatch, capsys, "send", "bob", "-").refusal()


def test_options_may_stand_before_or_after_the_command() -> None:
    parser = build_parser()
    for words in (
        ("--state", "X", "--json", "agents"),
        ("agents", "--state", "X", "--json"),
        ("--state", "X", "agents", "--json"),
        ("--stat", "X", "--json", "agents"),
        ("--state=X", "--js", "agents"),
    ):
        found = parser.parse_args(words)
        assert (found.state, found.json, found.socket) == ("X", True, None)


def test_long_messages_are_clipped_unless_all_of_them_is_asked_for() -> None:
    long = "a line\n" * 30_000

    class Client:
        def call(self, _: object, asked: InboxParams) -> InboxResult:
            body = long[: asked.clip]
            message = ShownMessage(
                id=1,
                sender="bob",
                recipient="operator",
                body=body,
                kind=MessageKind.MESSAGE,
                priority=Priority.NORMAL,
                sent_at=0.0,
                reply_to=None,
                hop=0,
                redelivered=False,
                left_out=len(long) - len(body),
            )
            return InboxResult(messages=(InboxMessage(message=message, read=True),))

    def shown(*words: str) -> str:
        arguments = build_parser().parse_args(["inbox", *words])
        client = cast("SyncClient", Client())
        return messages.inbox(client, arguments).text

    assert long.rstrip("\n") in shown("--full")
    clipped = shown()
    assert len(clipped) < 2200
    assert clipped.endswith(f"… {len(long) - 2000} more characters: hive inbox --full")


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


def test_without_a_command_it_says_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["hive"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "`hive run`" in said and "`hive --help`" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--statee", "/x", "agents"),
            "unknown option --statee, did you mean --state?",
        ),
        (("--jsn", "agents"), "unknown option --jsn, did you mean --json?"),
        (("--port", "7", "run"), "unknown option --port\n"),
        (("agnts",), "there is no command 'agnts', did you mean agents?"),
        (("frobnicate",), "there is no command 'frobnicate'. `hive --help`"),
        (("agents", "--statee", "/x"), "unrecognized arguments: --statee /x"),
    ],
)
def test_a_typo_before_the_command_is_named(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        build_parser().parse_args(words)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err
