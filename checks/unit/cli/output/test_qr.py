"""``hive login``: the link as a QR code, if a camera can use it."""

import argparse
import io
import sys
from typing import cast

import pytest
import segno

from pyglue.api.logins import LoginCodeResult
from pyglue.cli.commands import overview
from pyglue.cli.hive import build_parser
from pyglue.jsonrpc import SyncClient

AWAY = "https://hive.example.org/login?code=" + "c" * 43
HERE = f"http://{32 * 'a'}.localhost:7000/login?code=" + "c" * 43


class _Terminal(io.TextIOWrapper):
    """Standard output that says it is a terminal."""

    def __init__(self, encoding: str, *, is_terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


class _Hive:
    """Answers with one link."""

    def __init__(self, url: str) -> None:
        self._url = url

    def call(self, _method: object, _params: object) -> LoginCodeResult:
        return LoginCodeResult(code="c" * 43, url=self._url, expires_at=0.0)


def said(url: str, *words: str) -> str:
    options: argparse.Namespace = build_parser().parse_args(["login", *words])
    return overview.login(cast(SyncClient, _Hive(url)), options).text


@pytest.mark.parametrize(
    ("url", "terminal", "encoding", "words", "drawn"),
    [
        (AWAY, True, "utf-8", (), True),
        (AWAY, True, "utf-8", ("--no-qr",), False),
        (AWAY, True, "iso8859-1", (), False),
        (AWAY, False, "utf-8", (), False),
        (AWAY, False, "utf-8", ("--qr",), True),
        (HERE, True, "utf-8", (), False),
        (HERE, True, "utf-8", ("--qr",), True),
        ("http://127.0.0.1:7000/login?code=c", True, "utf-8", (), False),
        ("http://[::1]:7000/login?code=c", True, "utf-8", (), False),
    ],
)
def test_it_is_drawn_where_another_device_can_use_it(
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    terminal: bool,
    encoding: str,
    words: tuple[str, ...],
    drawn: bool,
) -> None:
    monkeypatch.setattr(sys, "stdout", _Terminal(encoding, is_terminal=terminal))
    text = said(url, *words)
    assert text.splitlines()[1] == url  # whatever follows, the link is there to copy
    assert ("\u2588" in text) is drawn
    assert ("\x1b[" in text) is (drawn and terminal)  # no colours into a file


def test_its_modules_are_those_of_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", _Terminal("utf-8", is_terminal=False))
    lines = said(AWAY, "--qr").splitlines()[3:]
    assert len({len(line) for line in lines}) == 1
    assert len(lines) < 24 and len(lines[0]) < 80  # a small terminal has room
    upper = {"\u2588": (0, 0), "\u2580": (0, 1), "\u2584": (1, 0), " ": (1, 1)}
    read = [[upper[char][half] for char in line] for line in lines for half in (0, 1)]
    code = segno.make_qr(AWAY, error="l", boost_error=False)
    expected = [list(row) for row in code.matrix_iter(border=2)]
    assert read[: len(expected)] == expected
