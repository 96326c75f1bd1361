"""Colours of source code: every character of every line, hostile or not."""

from typing import Any, Final

import pytest
from pygments.lexers.nix import NixLexer
from pygments.token import Token

from checks.kits.web.hostile import CORPUS, NASTY
from pyglue.web.pages import highlight
from pyglue.web.pages.word_diff import Span

SAMPLES: Final = {
    "a.py": ('@x\ndef f(a: int = 1):\n    """Doc.\n    More.\n    """\n', "k"),
    "a.sh": ('#!/bin/sh\nif [ -n "$A" ]; then echo ${B}; fi # c\n', "k"),
    "a.json": ('{"a": [1, true, "x"]}', "a"),
    "a.md": ("# Title\n\n- *a* `b`\n\n```py\nx = 1\n```\n", "k"),
    "a.toml": ('[a.b]\nx = "1" # c\n', "s"),
    "a.yaml": ("a: 1\nb:\n  - x # c\n", "a"),
    "a.YML": ("a: |\n  x\n", "a"),
    "a.js": ("const a = `t${x}`; // c\n/* more\n*/ let b;", "k"),
    "a.nix": ("{ a = ''\n  x\n''; }", "s"),
}
FILES: Final = tuple(SAMPLES)


def shown(path: str, text: str, **fields: Any) -> list[str]:
    lines = text.split("\n")
    return [
        str(html)
        for html in highlight.coloured(path, lines, highlight.Budget(9), **fields)
    ]


@pytest.mark.parametrize("path", FILES)
def test_a_file_is_coloured_by_the_end_of_its_name(path: str) -> None:
    text, css = SAMPLES[path]
    html = shown(path, text, whole=True)
    assert any(f'<span class="{css}">' in one for one in html)


@pytest.mark.parametrize("path", ["a.txt", "py", "a.py.orig", "a.", "Makefile", ""])
def test_others_are_not(path: str) -> None:
    assert not highlight.is_coloured(path)
    assert shown(path, "def f(): 1", whole=True) == ["def f(): 1"]


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("text", [NASTY, *CORPUS], ids=lambda text: text[:12])
def test_hostile_lines_stay_text(path: str, text: str) -> None:
    """Each line reads as it does without colours: nothing more, less or elsewhere."""
    for whole in (True, False):
        for html, plain in zip(
            shown(path, text, whole=whole), text.split("\n"), strict=True
        ):
            for css in "kbsaicn":
                html = html.replace(f'<span class="{css}">', "\0")
            spans = html.count("\0")
            bare = str(highlight.line(plain))
            names = bare.count("</span>")
            assert html.count("</span>") == names + spans
            assert html.replace("\0", "").replace("</span>", "") == bare.replace(
                "</span>", ""
            )


@pytest.mark.parametrize("path", FILES)
def test_marks_are_shown_with_colours(path: str) -> None:
    text, _ = SAMPLES[path]
    lines = text.split("\n")
    marks = [Span(0, 1) if one else None for one in lines]
    for html, plain in zip(
        shown(path, text, whole=True, marks=marks), lines, strict=True
    ):
        assert ("<mark>" in html) == bool(plain)


@pytest.mark.parametrize(
    ("path", "text"),
    [("a.py", 'x = 1\n"""\ny = 2'), ("a.md", "# a\n```\nb"), ("a.js", "a`\nlet b;")],
)
def test_a_part_that_may_begin_inside_a_string_is_not_coloured(
    path: str, text: str
) -> None:
    assert all("<span" not in html for html in shown(path, text))
    assert any("<span" in html for html in shown(path, text, whole=True))


def test_a_lexer_that_loses_a_character_colours_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lossy(*_: object) -> list[tuple[int, object, str]]:
        return [(0, Token.Keyword, "let"), (4, Token.Text, "x")]

    monkeypatch.setattr(NixLexer, "get_tokens_unprocessed", lossy)
    assert shown("a.nix", "let x") == ["let x"]
    assert shown("a.nix", "letx\n") == ["letx", ""]
    assert shown("a.nix", "letx") != ["letx"]


@pytest.mark.parametrize("path", FILES)
def test_colouring_stops_by_the_clock(path: str) -> None:
    for unit in ("(" * 390, '"' * 389, "`*_[](" * 60, "a: - {" * 60, "/*" * 190):
        budget = highlight.Budget(0.001)
        html = highlight.coloured(path, [unit] * 100, budget)
        assert len(html) == 100
