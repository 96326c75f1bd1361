"""A comment on a line as one text, for the CLI and the HTTP API."""

import re
from typing import Final

from pyglue import strict_json
from pyglue.api.approvals import LineComment
from pyglue.display import said
from pyglue.errors import ErrorCode, HiveError
from pyglue.strict_json import JsonError

FORM: Final = "FILE:LINE=TEXT"
_LINES: Final = r"[0-9]{1,8}(?:-[0-9]{1,8})?"
_COMMENT: Final = re.compile(rf"(.+?):({_LINES})=(.+)", re.S)
_SHOWN: Final = 60


def read(text: str) -> LineComment:
    """Read ``FILE:LINE=TEXT`` or ``FILE:LINE-LINE=TEXT``.

    Raises:
        HiveError: ``bad_request``.
    """
    found = _COMMENT.fullmatch(text)
    if found is None:
        raise _bad(text, "write FILE:LINE=TEXT or FILE:LINE-LINE=TEXT")
    return made(*found.groups())


def made(file: str, lines: str, text: str) -> LineComment:
    """Return a comment on ``lines``: ``LINE`` or ``LINE-LINE``.

    Raises:
        HiveError: ``bad_request``.
    """
    whole = f"{file}:{lines}={text}"
    if not re.fullmatch(_LINES, lines):
        raise _bad(whole, "write the number of a line, or LINE-LINE")
    line, _, to = lines.partition("-")
    parts = {"file": file, "line": line, "text": text, **({"to": to} if to else {})}
    try:
        return strict_json.convert(parts, LineComment, strict=False)
    except JsonError as error:
        raise _bad(whole, f"{error.reason[:1].lower()}{error.reason[1:]}") from error


def _bad(text: str, why: str) -> HiveError:
    shown = said(text, limit=_SHOWN)
    return HiveError(ErrorCode.BAD_REQUEST, f"Invalid comment {shown}: {why}.")
