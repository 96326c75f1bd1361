"""A link as a QR code on a terminal, for the camera of a phone."""

import io
import sys
from typing import Final
from urllib.parse import urlsplit

from pyglue.config.origin import is_loopback

_QUIET: Final = 2
"""Modules of margin; readers need less than the standard's four."""
_LIGHT_ON_DARK: Final = "\x1b[97;40m"
_PLAIN: Final = "\x1b[0m"


def wanted(url: str, chosen: bool | None) -> bool:
    """Return whether to draw ``url``.

    Unless ``chosen``: on a terminal that has the characters, if another device could
    open the link.
    """
    if chosen is not None:
        return chosen
    if not sys.stdout.isatty() or is_loopback(urlsplit(url).hostname or ""):
        return False
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def drawn(url: str) -> str:
    """Return the lines of the code, two rows of it in each.

    In explicit colours: with the terminal's own, dark could be light.
    """
    import segno  # by far the slowest import of the command line, for one command

    written = io.StringIO()
    segno.make_qr(url, error="l", boost_error=False).terminal(
        written, border=_QUIET, compact=True
    )
    lines = written.getvalue().splitlines()
    if sys.stdout.isatty():
        lines = [f"{_LIGHT_ON_DARK}{line}{_PLAIN}" for line in lines]
    return "\n".join(lines)
