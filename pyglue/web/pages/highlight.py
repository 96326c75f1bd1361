"""Source code as escaped HTML lines, coloured by Pygments.

Used for the approval page's diffs and an agent's ``agent.nix``. The lexers'
regular expressions need quadratic time for some inputs, and a running one blocks the
interpreter: so long lines and long texts stay uncoloured, and each page has one
``Budget`` of time. Colour is decoration: every line is shown with or without it, and
without if a lexer does not return every character.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup, escape
from pygments.lexer import Lexer
from pygments.lexers.configs import TOMLLexer
from pygments.lexers.data import JsonLexer, YamlLexer
from pygments.lexers.javascript import JavascriptLexer
from pygments.lexers.markup import MarkdownLexer
from pygments.lexers.nix import NixLexer
from pygments.lexers.python import PythonLexer
from pygments.lexers.shell import BashLexer
from pygments.token import Token

from pyglue.text.display import HIDDEN_IN_TEXT, name_of
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
    Token.Name.Decorator: "b",
    Token.Name.Tag: "a",
    Token.Name.Variable: "a",
    Token.Generic.Heading: "k",
    Token.Generic.Subheading: "k",
    Token.Literal.String.Symbol: "a",
    Token.Literal.String.Interpol: "i",
    Token.Literal.String.Escape: "i",
    Token.Literal.String: "s",
    Token.Literal.Scalar: "s",
    Token.Literal: "n",
}


@dataclass(frozen=True)
class _Language:
    """``pairs`` begin and end what may go over several lines."""

    lexer: Callable[[], Lexer]
    pairs: tuple[str, ...] = ()


def _plain_markdown() -> Lexer:
    """Return a lexer without those of code blocks: any of hundreds could be named."""
    made: Lexer = MarkdownLexer(handlecodeblocks=False)  # type: ignore[no-untyped-call]
    return made


_NIX: Final = _Language(NixLexer)
_QUOTES: Final = ('"""', "'''")
_LANGUAGES: Final[Mapping[str, _Language]] = {
    "nix": _NIX,
    "py": _Language(PythonLexer, _QUOTES),
    "sh": _Language(BashLexer),
    "bash": _Language(BashLexer),
    "json": _Language(JsonLexer),
    "md": _Language(_plain_markdown, ("```", "~~~")),
    "toml": _Language(TOMLLexer, _QUOTES),
    "yaml": _Language(YamlLexer),
    "yml": _Language(YamlLexer),
    "js": _Language(JavascriptLexer, ("`",)),
    "mjs": _Language(JavascriptLexer, ("`",)),
}
"""By the end of a file's name."""


class Budget:
    """The remaining time for colouring one page, in seconds of wall time."""

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


def is_coloured(path: str) -> bool:
    """Return whether files of this name are coloured."""
    return _language(path) is not None


def coloured(
    path: str,
    lines: Sequence[str],
    budget: Budget,
    *,
    whole: bool = False,
    marks: Sequence[Span | None] = (),
) -> list[Markup]:
    """Return the lines of one stretch of a file as HTML, one for each given.

    ``whole``: the stretch starts at the beginning of the file, otherwise colours may
    be wrong; ``marks`` has the marked parts of each line.
    """
    marks = marks or (None,) * len(lines)
    language = _language(path)
    size = sum(len(text) + 1 for text in lines)
    longest = max((len(text) for text in lines), default=0)
    is_large = longest > _LINE_COLOURED or size > _TEXT_COLOURED
    if language is None or is_large or budget.left <= 0:
        return [line(text, mark) for text, mark in zip(lines, marks, strict=True)]
    started = time.monotonic()
    tokens = _tokens(language, lines, whole=whole)
    found = _coloured(tokens, lines, marks, started + budget.left)
    budget.left -= time.monotonic() - started
    return found or [line(*one) for one in zip(lines, marks, strict=True)]


def _language(path: str) -> _Language | None:
    _, dot, end = path.rpartition(".")
    return _LANGUAGES.get(end.lower()) if dot else None


def _tokens(
    language: _Language, lines: Sequence[str], *, whole: bool
) -> Iterator[tuple[Any, str]]:
    """Yield the kind and the text of each token; none if where it begins is unclear."""
    text = "\n".join(lines)
    if not whole and any(text.count(pair) % 2 for pair in language.pairs):
        return
    begins: tuple[Any, ...] = ()
    if language is _NIX and not whole and _starts_in_string(lines):
        begins = (("root", "multiline"),)
    for _, kind, value in language.lexer().get_tokens_unprocessed(text, *begins):
        yield kind, value


def _coloured(
    tokens: Iterator[tuple[Any, str]],
    lines: Sequence[str],
    marks: Sequence[Span | None],
    deadline: float,
) -> list[Markup] | None:
    """Return coloured lines; None without time, or if the tokens are not the text."""
    out: list[list[str]] = [[]]
    column = 0
    for kind, value in tokens:
        if time.monotonic() > deadline:
            return None
        css = _class_of(kind)
        for number, piece in enumerate(value.split("\n")):
            if number:
                if column != len(lines[len(out) - 1]) or len(out) == len(lines):
                    return None
                out.append([])
                column = 0
            at = len(out) - 1
            if not lines[at].startswith(piece, column):
                return None
            if piece:
                out[-1].append(_piece(piece, css, column, marks[at]))
                column += len(piece)
    if len(out) != len(lines) or column != len(lines[-1]):
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
