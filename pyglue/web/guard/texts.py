"""Text in requests: what is not UTF-8 is refused, and never changed into other text.

Without this, a byte that is not part of a character would reach a message as ``%FF`` or
U+FFFD. The guard asks before anything reads a form; bodies of webhooks are left to
hived, which checks their signature and quotes the text in them.
"""

from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote_to_bytes

from flask import Request

from pyglue.errors import ErrorCode, HiveError

_FORM: Final = "application/x-www-form-urlencoded"
_PARTS: Final = "multipart/form-data"
_SHOWN: Final = 40


def check_text(asked: Request) -> None:
    """Check the query and the form.

    Raises:
        HiveError: ``bad_request`` with the field and its first wrong byte.
    """
    texts = list(_fields(asked.query_string))
    if asked.mimetype == _FORM:
        texts += _fields(asked.get_data())
    elif asked.mimetype == _PARTS:  # there are no files in our forms
        texts.append(("The form", asked.get_data()))
    for name, raw in texts:
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            raise HiveError(
                ErrorCode.BAD_REQUEST,
                f"{name} is not UTF-8: byte 0x{raw[error.start]:02X} at position "
                f"{error.start} is not a character. Send the text as UTF-8.",
            ) from error


def _fields(query: bytes) -> Iterator[tuple[str, bytes]]:
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        yield "The name of a field", unquote_to_bytes(name)
        shown = unquote_to_bytes(name).decode(errors="replace")[:_SHOWN]
        yield f"The field {shown!a}", unquote_to_bytes(value)
