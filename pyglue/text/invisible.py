"""Characters that are invisible or reorder others: the only table.

Control and format characters, everything that Unicode lets a font leave out (among it
selectors and tags), blanks that are not the space, surrogates, private use and
noncharacters. Everything that the operator reviews must show each of them: ``display``
in terminals and sentences, ``web.text`` in pages, ``web/static/invisible.js``
(generated from here by ``make generate``) in text inserted by scripts;
``git.filenames`` refuses them.

The table is explicit, so that it is the same with every version of Python. A test
compares it with Unicode's own categories.
"""

import re
from typing import Final

SPANS: Final[tuple[tuple[int, int], ...]] = (
    *((0x0000, 0x001F), (0x007F, 0x00A0), (0x00AD, 0x00AD), (0x034F, 0x034F)),
    *((0x0600, 0x0605), (0x061C, 0x061C), (0x06DD, 0x06DD), (0x070F, 0x070F)),
    *((0x0890, 0x0891), (0x08E2, 0x08E2), (0x115F, 0x1160), (0x1680, 0x1680)),
    *((0x17B4, 0x17B5), (0x180B, 0x180F), (0x2000, 0x200F), (0x2028, 0x202F)),
    *((0x205F, 0x206F), (0x2800, 0x2800), (0x3000, 0x3000), (0x3164, 0x3164)),
    *((0xD800, 0xF8FF), (0xFDD0, 0xFDEF), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF)),
    *((0xFFA0, 0xFFA0), (0xFFF0, 0xFFFB), (0xFFFE, 0xFFFF), (0x110BD, 0x110BD)),
    *((0x110CD, 0x110CD), (0x13430, 0x1343F), (0x16FE4, 0x16FE4)),
    *((0x1BCA0, 0x1BCA3), (0x1D159, 0x1D159), (0x1D173, 0x1D17A)),
    *((plane + 0xFFFE, plane + 0xFFFF) for plane in range(0x10000, 0xD0000, 0x10000)),
    *((0xDFFFE, 0xE0FFF), (0xEFFFE, 0x10FFFF)),
)
"""First and last code points."""


def pattern(*, keep: str = "") -> re.Pattern[str]:
    """Return what matches one such character, except those in ``keep``."""
    spans = "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in SPANS)
    kept = f"(?![{re.escape(keep)}])" if keep else ""
    return re.compile(f"{kept}[{spans}]")


HIDDEN: Final = pattern()
"""Matches one of them, line feed and tab too."""
