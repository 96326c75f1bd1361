"""Text on the command line and standard input: refusals, and what is sent."""

import argparse
import io
import sys

import pytest

from checks.kits.cli.run import typed
from pyglue.cli.hive import build_parser
from pyglue.cli.words import TEXTS, fill_texts


@pytest.mark.parametrize(
    "words", [("send", "bob", "caf\udce9"), ("send", "caf\udce9", "x")]
)
def test_an_argument_that_is_no_text_is_named(
    words: tuple[str, ...],
) -> None:
    last = typed(*words).refusal()
    assert last == "hive: “caf\\xe9” is not valid UTF-8. Pass text as UTF-8."
    said = typed(*words, "--json").error()
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


def test_a_closed_standard_input_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    refused = typed("send", "bob", "-").refusal()
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
) -> None:
    stdin(monkeypatch, data)
    assert sentence in typed("send", "bob", "-").refusal()
