"""Nix source as escaped HTML lines, coloured by Pygments.

Used for the approval page's diffs and an agent's ``agent.nix``. The lexer's
regular expressions need quadratic time for some inputs, and a running one holds the
interpreter: so long lines and long texts stay uncoloured, and one ``Budget`` a page
stops it by the clock. Colour is decoration; every line is shown with or without.
"""

import time
from collections.abc import Sequence
from typing import Any, Final

from markupsafe import Markup, escape
from pygments.lexers.nix import NixLexer
from pygments.token import Token

from pyglue.display import HIDDEN_IN_TEXT, name_of
from pyglue.web.pages.word_diff import Span

LINE_SHOWN: Final = 2000
"""Characters of one line that a page shows."""
_LINE_COLOURED: Final = 400
_TEXT_COLOURED: Final = 48 * 1024
_PAGE_SECONDS: Final = 0.4

_CLASSES: Final[dict[Any, str]] = {
    Token.Comment: "c",
    Token.Keyword: "k",
    Token.Name.Builtin: "b",
    Token.Name.Constant: "n",
    Token.Literal.String.Symbol: "a",
    Token.Literal.String.Interpol: "i",
    Token.Literal.String.Escape: "i",
    Token.Literal.String: "s",
    Token.Literal: "n",
}


class Budget:
    """How long one page may still colour, in seconds of wall time."""

    def __init__(self, seconds: float = _PAGE_SECONDS) -> None:
        self.left = seconds


def plain(text: str) -> Markup:
    """Return ``text`` escaped, with hidden characters named and marked."""
    if text.isascii() and text.isprintable():
        return escape(text)
    parts: list[str] = []
    at = 0
    for match in HIDDEN_IN_TEXT.finditer(text):
        char = match.group()
        parts.append(escape(text[at : match.start()]))
        parts.append(
            f'<span class="hid" title="U+{ord(char):04X}">{name_of(char)}</span>'
        )
        at = match.end()
    parts.append(escape(text[at:]))
    return Markup("".join(parts))  # noqa: S704 - built of escaped parts only


def line(text: str, mark: Span | None = None) -> Markup:
    """Return one line as HTML, cut at ``LINE_SHOWN`` characters with a note.

    The characters of ``mark`` are marked, if the line is shown whole.
    """
    if len(text) <= LINE_SHOWN:
        return _piece(text, None, 0, mark)
    note = Markup('<span class="cut">… {:,} more characters on this line</span>')
    return plain(text[:LINE_SHOWN]) + note.format(len(text) - LINE_SHOWN)


def nix_lines(
    lines: Sequence[str],
    budget: Budget,
    *,
    whole: bool = False,
    marks: Sequence[Span | None] = (),
) -> list[Markup]:
    """Return the lines of one stretch of Nix as HTML, one for each given.

    ``whole`` says that the stretch begins where the file does; ``marks`` has for each
    line what is marked in it.
    """
    marks = marks or (None,) * len(lines)
    size = sum(len(text) + 1 for text in lines)
    longest = max((len(text) for text in lines), default=0)
    if longest > _LINE_COLOURED or size > _TEXT_COLOURED or budget.left <= 0:
        return [line(text, mark) for text, mark in zip(lines, marks, strict=True)]
    started = time.monotonic()
    in_string = not whole and _starts_in_string(lines)
    coloured = _coloured(lines, marks, in_string, started + budget.left)
    budget.left -= time.monotonic() - started
    return coloured or [line(*one) for one in zip(lines, marks, strict=True)]


def _coloured(
    lines: Sequence[str],
    marks: Sequence[Span | None],
    in_string: bool,
    deadline: float,
) -> list[Markup] | None:
    """Return coloured lines, or None if the time ran out."""
    stack = ("root", "multiline") if in_string else ("root",)
    out: list[list[str]] = [[]]
    column = 0
    text = "\n".join(lines)
    for _, kind, value in NixLexer().get_tokens_unprocessed(text, stack):
        if time.monotonic() > deadline:
            return None
        css = _class_of(kind)
        for number, piece in enumerate(value.split("\n")):
            if number:
                out.append([])
                column = 0
            if piece and len(out) <= len(lines):
                out[-1].append(_piece(piece, css, column, marks[len(out) - 1]))
                column += len(piece)
    if len(out) != len(lines):
        return None
    return [Markup("".join(parts)) for parts in out]  # noqa: S704 - escaped parts


def _piece(text: str, css: str | None, at: int, mark: Span | None) -> Markup:
    """Return a part of a line that begins at column ``at``, with what is marked."""
    if mark is None:
        html = plain(text)
    else:
        start, end = (min(max(n - at, 0), len(text)) for n in (mark.start, mark.end))
        html = plain(text[:start])
        if end > start:
            html += Markup("<mark>{}</mark>").format(plain(text[start:end]))
        html += plain(text[end:])
    return Markup('<span class="{}">{}</span>').format(css, html) if css else html


def _class_of(kind: Any) -> str | None:  # noqa: ANN401 - Pygments' own type
    token = kind
    while token is not None:
        if token in _CLASSES:
            return _CLASSES[token]
        token = token.parent
    return None


def _starts_in_string(lines: Sequence[str]) -> bool:
    """Guess whether a hunk begins inside an indented string.

    It does when the first ``''`` of it begins its line, as a closing one does.
    """
    for text in lines:
        if "''" in text:
            return text.strip() == "''" or text.lstrip().startswith(
                ("'';", "'')", "'']")
            )
    return False
