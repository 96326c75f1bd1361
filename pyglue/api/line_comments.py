"""A comment on a line as one text, for the CLI, the HTTP API and forms.

Line numbers refer to the proposed file; with ``@running`` to the deployed version, and
so on: this is how to comment on a line that the proposal removes.
"""

import re
from typing import Final

from pyglue import strict_json
from pyglue.api.approvals import DiffBase, LineComment
from pyglue.errors import ErrorCode, HiveError
from pyglue.strict_json import JsonError
from pyglue.text.display import in_quotes

FORM: Final = "FILE:LINE=TEXT"
BASES: Final = ", ".join(f"@{one}" for one in DiffBase)
_LINES: Final = rf"[0-9]{{1,8}}(?:-[0-9]{{1,8}})?(?:@(?:{'|'.join(DiffBase)}))?"
_COMMENT: Final = re.compile(rf"(.+?):({_LINES})=(.+)", re.S)
_SHOWN: Final = 60


def read(text: str) -> LineComment:
    """Read ``FILE:LINE=TEXT``, ``FILE:LINE-LINE=TEXT`` or ``FILE:LINE@BASE=TEXT``.

    Raises:
        HiveError: ``bad_request``.
    """
    found = _COMMENT.fullmatch(text)
    if found is None:
        raise _bad(
            text,
            "write FILE:LINE=TEXT or FILE:LINE-LINE=TEXT; for lines of an earlier "
            f"version, add one of {BASES} after them",
        )
    return made(*found.groups())


def made(file: str, lines: str, text: str) -> LineComment:
    """Return a comment on ``lines``: ``LINE`` or ``LINE-LINE``, perhaps ``@BASE``.

    Raises:
        HiveError: ``bad_request``.
    """
    whole = f"{file}:{lines}={text}"
    if not re.fullmatch(_LINES, lines):
        raise _bad(whole, f"write the number of a line, or LINE-LINE, perhaps {BASES}")
    numbers, _, base = lines.partition("@")
    line, _, to = numbers.partition("-")
    more = {"to": to, "base": base}
    parts = {"file": file, "line": line, "text": text}
    parts |= {name: value for name, value in more.items() if value}
    try:
        return strict_json.convert(parts, LineComment, strict=False)
    except JsonError as error:
        raise _bad(whole, f"{error.reason[:1].lower()}{error.reason[1:]}") from error


def _bad(text: str, why: str) -> HiveError:
    shown = in_quotes(text, limit=_SHOWN)
    return HiveError(ErrorCode.BAD_REQUEST, f"Invalid comment {shown}: {why}.")
