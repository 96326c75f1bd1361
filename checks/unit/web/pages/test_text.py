"""Hostile text is shown completely, by name, escaped."""

import sys
import unicodedata

import pytest

from pyglue.text.display import named
from pyglue.web.pages import highlight, text

HIDDEN = [
    ("\x1b[31m", "\u241b[31m"),
    ("\x00", "\u2400"),
    ("\x7f", "\u2421"),
    ("\r", "\u240d"),
    ("\x85", "\u2039U+0085\u203a"),
    ("\u202e", "\u2039U+202E\u203a"),
    ("\u2066", "\u2039U+2066\u203a"),
    ("\u200b", "\u2039U+200B\u203a"),
    ("\u2028", "\u2039U+2028\u203a"),
    ("\ufeff", "\u2039U+FEFF\u203a"),
    ("\u00ad", "\u2039U+00AD\u203a"),
    ("\u00a0", "\u2039U+00A0\u203a"),
    ("\u3164", "\u2039U+3164\u203a"),
    ("\ufe0f", "\u2039U+FE0F\u203a"),
    ("\U000e0041", "\u2039U+E0041\u203a"),
    ("\ue000", "\u2039U+E000\u203a"),
]


@pytest.mark.parametrize(("char", "shown"), HIDDEN)
def test_hidden_characters_are_named(char: str, shown: str) -> None:
    assert named(f"a{char}b") == f"a{shown}b"


def test_words_of_any_language_stay() -> None:
    kept = "plain\n\ttext é 日本語 русский עברית 😀 “quotes”"
    assert named(kept) == kept


def test_no_character_that_an_eye_cannot_see_is_left() -> None:
    everything = "".join(
        chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000
    )
    left = set(named(everything)) - set("\n\t ")
    unseen = {"Cc", "Cf", "Co", "Zs", "Zl", "Zp"}
    assert not {char for char in left if unicodedata.category(char) in unseen}


def test_clip_says_how_much_it_left_out() -> None:
    assert text.clip("x" * 1_000_000, 10) == "x" * 10 + " … (999,990 more characters)"
    assert text.clip("short", 10) == "short"
    assert text.clip(None, 10) == ""


def test_plain_escapes_and_marks() -> None:
    html = highlight.plain("<b>\u202e&")
    assert str(html) == (
        '&lt;b&gt;<span class="hid" title="U+202E">\u2039U+202E\u203a</span>&amp;'
    )


def test_a_long_line_is_cut_with_a_note() -> None:
    html = str(highlight.line("x" * 5000))
    assert "3,000 more characters on this line" in html
    assert len(html) < 2200


NIX = """{ pkgs, ... }: # a <comment>
{
  prompt = \'\'
    You are "alice" ''${not} ${interpolated}
  \'\';
  n = 12; /* more
  than one line */ b = true;
}"""


def test_nix_keeps_its_lines_and_its_text() -> None:
    lines = NIX.split("\n")
    shown = highlight.coloured("a.nix", lines, highlight.Budget(), whole=True)
    assert [html.striptags() for html in shown] == [
        " ".join(line.split()) for line in lines
    ]
    assert '<span class="c"># a &lt;comment&gt;</span>' in shown[0]
    assert shown[6].startswith('<span class="c">  than one line </span>')


def test_a_hunk_that_begins_in_a_string_is_seen_to() -> None:
    lines = ["    You are bob; let x = 1", "  '';", "  n = 2;"]
    shown = highlight.coloured("a.nix", lines, highlight.Budget())
    assert str(shown[0]) == f'<span class="s">{lines[0]}</span>'


HOSTILE_NIX = ["+" * 390, "." * 390, "''" * 190, "${" * 190, '"' * 390, "é" * 390, "/*"]


@pytest.mark.parametrize("unit", HOSTILE_NIX)
def test_colouring_stops_by_the_clock(unit: str) -> None:
    budget = highlight.Budget(0.02)
    lines = [unit] * 100
    shown = highlight.coloured("a.nix", lines, budget)
    assert len(shown) == len(lines)
    assert all(html.unescape() for html in shown)


def test_a_spent_budget_leaves_lines_uncoloured() -> None:
    budget = highlight.Budget(0)
    assert highlight.coloured("a.nix", ["let x = 1;"], budget) == ["let x = 1;"]
