"""The command line as a user meets it: help, wrong input, no hive, a full disk."""

import argparse
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from checks.kits.cli.run import ASKING, HIVE, python, typed
from checks.kits.patience import PATIENCE_S
from pyglue.api import operator as api
from pyglue.api.common import Done, Method, Params
from pyglue.api.inbox import InboxFilter, InboxParams, InboxResult, MarkParams
from pyglue.api.messages import Mark, MessageKind, Priority, ShownMessage
from pyglue.cli.commands import messages
from pyglue.cli.hive import build_parser, main
from pyglue.errors import HiveError
from pyglue.jsonrpc import SyncClient
from pyglue.process import run


def _commands() -> list[str]:
    (directories,) = [
        action
        for action in build_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    ]
    return list(directories.choices)


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
) -> None:
    socket = str(tmp_path / "none")
    words = (command, *ASKING[command], "--socket", socket)
    last = typed(*words).refusal()
    assert last == (
        f"hive: hived does not answer at {socket} (No such file or directory). Is the "
        "hive running?"
    )
    said = typed(*words, "--json").error()
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
) -> None:
    said = typed(*words)
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
    done = await run([sys.executable, "-P", "-c", code], env={}, timeout=PATIENCE_S)
    assert done.stderr.decode() == (
        "hive: cannot read or write The output: No space left on device.\n"
    )
    assert done.code == 1


async def test_hive_runs_as_a_program(tmp_path: Path) -> None:
    said = await python(HIVE, "status", "--state", tmp_path)
    assert "Is the hive running?" in said.refusal()


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
            return InboxResult(messages=(message,))

    def shown(*words: str) -> str:
        arguments = build_parser().parse_args(["inbox", *words])
        client = cast("SyncClient", Client())
        return messages.inbox(client, arguments).text

    assert long.rstrip("\n") in shown("--full")
    clipped = shown()
    assert len(clipped) < 2200
    assert clipped.endswith(f"… {len(long) - 2000} more characters: hive inbox --full")


def test_messages_of_the_inbox_are_marked_by_their_ids() -> None:
    asked: list[Params] = []

    class Client:
        def call(self, method: Method[Any, Any], params: Params) -> Done | InboxResult:
            asked.append(params)
            return InboxResult(messages=()) if method is api.INBOX else Done()

    def said(*words: str) -> str:
        arguments = build_parser().parse_args(["inbox", *words])
        return messages.inbox(cast("SyncClient", Client()), arguments).text

    assert said("done", "3", "4") == "Messages 3, 4 marked done."
    assert asked == [MarkParams(mark=Mark.DONE, ids=(3, 4))]
    assert said() == "There are no open messages in the inbox."
    assert said("--show", "all") == "The inbox is empty."
    shown = [one.show for one in asked if isinstance(one, InboxParams)]
    assert shown == [InboxFilter.OPEN, InboxFilter.ALL]
    asked.clear()
    with pytest.raises(HiveError, match="Name messages: hive inbox unread ID"):
        said("unread")
    assert not asked
    with pytest.raises(SystemExit):
        said("gone", "3")


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
