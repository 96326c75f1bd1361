"""Text that an agent chose, made safe to look at.

``visible`` is the one encoder of the dashboard: it is the template environment's
``finalize``, so every ``{{ value }}`` passes it before HTML escaping. Characters
that an eye cannot see or that move others around (control, bidi, zero width, tags,
look-alike blanks) come out as names such as U+202E in brackets; nothing is
dropped, so what is approved is what is read. ``clip`` says how much it cut.
"""

import itertools
import re
import unicodedata
from typing import Final

from markupsafe import Markup

_KEPT: Final = frozenset("\t\n ")
_BLANK_LETTERS: Final = (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0)
_SELECTORS: Final = (
    *range(0x180B, 0x1810),
    *range(0xFE00, 0xFE10),
    *range(0xE0100, 0xE01F0),
)
_SEARCHED: Final = (range(0x20000), range(0xE0000, 0xE1000))
"""Where characters are looked at one by one: all planes of which parts are hidden."""
_PRIVATE: Final = range(0xF0000, 0x110000)
_HIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zs", "Zl", "Zp"})


def _hidden_class() -> str:
    """Return a regex class of every character that must be shown by its name."""
    codes = {
        code
        for code in itertools.chain(*_SEARCHED)
        if unicodedata.category(chr(code)) in _HIDDEN_CATEGORIES
        and chr(code) not in _KEPT
    }
    codes.update(_BLANK_LETTERS, _SELECTORS)
    spans: list[list[int]] = []
    for code in sorted(codes):
        if spans and code == spans[-1][1] + 1:
            spans[-1][1] = code
        else:
            spans.append([code, code])
    spans.append([_PRIVATE[0], _PRIVATE[-1]])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in spans)


HIDDEN: Final = re.compile(f"[{_hidden_class()}]")
"""Matches one character that ``visible`` names instead of showing."""


def name_of(char: str) -> str:
    """Return what stands for a hidden character: ``␛``, or U+202E in brackets."""
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    return f"\u2039U+{code:04X}\u203a"


def visible(text: str) -> str:
    """Return ``text`` with every hidden character named. Still needs escaping."""
    if text.isascii() and text.isprintable():
        return text
    return HIDDEN.sub(lambda match: name_of(match.group()), text)


def finalize(value: object) -> object:
    """Jinja's last step before escaping: markup of our own passes, text is shown."""
    if isinstance(value, Markup):
        return value
    if value is None:
        return ""
    return visible(str(value))


def clip(text: str | None, limit: int, left_out: int = 0) -> str:
    """Return at most ``limit`` characters, then a note of how many were left out.

    ``left_out`` more were left out before.
    """
    text = text or ""
    more = left_out + max(0, len(text) - limit)
    return f"{text[:limit]} … ({more:,} more characters)" if more else text
