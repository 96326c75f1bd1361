"""The words of a command line as text: UTF-8, and ``-`` for standard input."""

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from pyglue.api.messages import BODY_LIMIT, body_too_large
from pyglue.errors import ErrorCode, HiveError
from pyglue.text.display import quoted

TEXTS: Final = ("body", "reason", "description")
"""Arguments that ``-`` reads from standard input."""
_BYTE_ORDER_MARK: Final = "\ufeff"
"""The byte order mark of some editors and shells; not part of the text."""
_READ_MAX: Final = 64 * BODY_LIMIT


def check_utf8(words: Sequence[str]) -> None:
    """Refuse words that are not UTF-8: no call could carry them.

    Raises:
        HiveError: ``bad_request`` with the word.
    """
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            shown = word.encode("utf-8", "surrogateescape").decode(
                "utf-8", "backslashreplace"
            )
            raise HiveError(
                ErrorCode.BAD_REQUEST,
                f"{quoted(shown)} is not valid UTF-8. Pass text as UTF-8.",
            ) from None


def fill_texts(arguments: argparse.Namespace) -> None:
    """Put standard input where an argument is ``-``.

    Raises:
        HiveError: ``bad_request`` if it is not text, or two arguments ask for it;
            ``too_large`` for a message over its limit.
    """
    asked = [name for name in TEXTS if getattr(arguments, name, None) == "-"]
    if len(asked) > 1:
        raise HiveError(
            ErrorCode.BAD_REQUEST, "Only one argument can be '-' (standard input)."
        )
    for name in asked:
        setattr(arguments, name, _standard_input())
    size = len(getattr(arguments, "body", "").encode())
    if size > BODY_LIMIT:
        raise body_too_large(size)


def _standard_input() -> str:
    if sys.stdin is None:
        raise HiveError(
            ErrorCode.BAD_REQUEST, "Standard input is closed, so '-' reads nothing."
        )
    data = sys.stdin.buffer.read(_READ_MAX)
    try:
        return data.decode().removeprefix(_BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        if len(data) == _READ_MAX:
            raise body_too_large(len(data)) from None
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            f"Standard input is not valid UTF-8 (byte {error.start + 1}). Pass text as "
            "UTF-8, or put the data in a file and send its path.",
        ) from None
