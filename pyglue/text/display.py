"""Hostile text as part of a sentence for people: one line, nothing invisible.

Everything by an agent that we quote (option values, error texts, names of variables)
passes through here. Every character of ``invisible`` is shown as an escape, so that
nothing is hidden from the reader; letters of any language are unchanged. This is not an
encoder for HTML or a terminal's only guard: those have their own.
"""

import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Final

from pyglue.text.invisible import HIDDEN, pattern

HIDDEN_IN_TEXT: Final = pattern(keep="\t\n")
"""Matches one character that ``named`` names instead of showing."""
_BARE: Final = re.compile(r"[A-Za-z0-9_.:@/+-]+")
BODY_SHOWN: Final = 200_000
"""Most characters that are quoted of a longer text."""
COMMAND_LENGTH: Final = 2000
"""Characters of a command line that are shown."""


def visible(text: str, *, limit: int = 400) -> str:
    """Return ``text`` as one printable line of at most about ``limit`` characters."""
    head = text[:limit]
    if not (head.isascii() and head.isprintable()):
        head = HIDDEN.sub(_escaped, head)
    return head + "…" if len(text) > limit else head


def name_of(char: str) -> str:
    """Return the name of a hidden character: ``␛``, or U+202E in brackets."""
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    return f"\u2039U+{code:04X}\u203a"


def named(text: str) -> str:
    """Return a text of several lines with every hidden character named."""
    if text.isascii() and text.isprintable():
        return text
    return HIDDEN_IN_TEXT.sub(lambda match: name_of(match.group()), text)


def quoted(text: str, *, limit: int = 400) -> str:
    """Return ``text`` as it is if it is one plain word, else visibly in quotes."""
    if len(text) <= limit and _BARE.fullmatch(text):
        return text
    return f"“{visible(text, limit=limit)}”"


def in_quotes(text: str, *, limit: int = 400) -> str:
    """Return a quotation of someone's text: one line, always in quotes."""
    return f"“{visible(text, limit=limit)}”"


def cited(text: str, *, limit: int = BODY_SHOWN) -> str:
    """Return a quotation of someone's text, with each line marked by ``>``."""
    lines = text[:limit].splitlines() or [""]
    more = ["> …"] if len(text) > limit else []
    return "\n".join([*(f"> {visible(line, limit=limit)}" for line in lines), *more])


def command_line(words: Sequence[str], *, limit: int = COMMAND_LENGTH) -> str:
    """Return program and arguments as one would type them, visibly in quotes."""
    return f"“{visible(shlex.join(words), limit=limit)}”"


def listed(items: Iterable[str]) -> str:
    """Join items as in ``a, b and c``; nothing is left out."""
    every = list(items)
    if len(every) < 2:
        return "".join(every)
    return ", ".join(every[:-1]) + " and " + every[-1]


def _escaped(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode("ascii")
