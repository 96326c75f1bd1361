"""Comments on lines of a proposal: quoted from git, relocated, sent to the manager.

Agents wrote the lines: in the message each is one line of visible text after ``>``.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from pyglue.api.approvals import (
    BASE_NAMES,
    COMMENTED_LINES,
    LineComment,
    QuotedComment,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.lines import lines_of
from pyglue.git.repos import AppliedRepo
from pyglue.store.approvals import ApprovalRow
from pyglue.text.display import in_quotes, quoted, visible

_LINE_MAX: Final = 400
"""Maximum characters of a quoted line; comparisons of lines also stop there."""
_NEAR: Final = 5000
"""How far from its old position a commented line is searched for, in lines."""
_PATH_MAX: Final = 400
MESSAGE_MAX: Final = 64 * 1024
"""Maximum size of the message with all comments and quoted lines, in bytes."""


def quote(repo: AppliedRepo, commit: str | None, comment: LineComment) -> QuotedComment:
    """Return a comment with the lines of ``commit`` that it is about. Blocking.

    Raises:
        HiveError: ``bad_request`` for a file or a line that does not exist.
    """
    last = comment.line if comment.to is None else comment.to
    if not comment.line <= last < comment.line + COMMENTED_LINES:
        raise _bad(
            comment,
            f"the last line must not precede the first, and a comment can cover at "
            f"most {COMMENTED_LINES} lines",
        )
    lines = None if commit is None else lines_of(repo, commit, comment.file)
    if lines is None:
        raise _bad(comment, "there is no such file in this version")
    if last > len(lines):
        raise _bad(comment, f"the file has {len(lines)} lines")
    return QuotedComment(
        file=comment.file,
        line=comment.line,
        to=last,
        base=comment.base,
        text=comment.text.strip(),
        quoted=tuple(line[:_LINE_MAX] for line in lines[comment.line - 1 : last]),
    )


def find(
    repo: AppliedRepo, commit: str | None, comments: Sequence[QuotedComment]
) -> tuple[QuotedComment, ...]:
    """Return comments with the positions of their lines in ``commit``. Blocking."""
    files: dict[str, list[str]] = {}
    for one in comments:
        if commit is not None and one.base is None and one.file not in files:
            lines = lines_of(repo, commit, one.file) or ()
            files[one.file] = [line[:_LINE_MAX] for line in lines]
    return tuple(
        msgspec.structs.replace(one, line_now=_nearest(files[one.file], one))
        if one.base is None and one.file in files
        else one
        for one in comments
    )


def _nearest(lines: Sequence[str], comment: QuotedComment) -> int | None:
    wanted, count = list(comment.quoted), len(comment.quoted)
    first = max(0, comment.line - 1 - _NEAR)
    last = min(len(lines) - count, comment.line - 1 + _NEAR)
    places = [
        number + 1
        for number in range(first, last + 1)
        if lines[number : number + count] == wanted
    ]
    return min(places, key=lambda place: abs(place - comment.line), default=None)


def message(row: ApprovalRow, text: str, comments: Sequence[QuotedComment]) -> str:
    """Return the one message to the manager.

    Raises:
        HiveError: ``too_large``.
    """
    head = (
        f"Approval {row.id} for {row.agent}: the operator requests changes. Nothing "
        "was deployed; make the changes and propose again."
    )
    parts = [head]
    if text.strip():
        parts.append(text.strip())
    for one in comments:
        quote = "\n".join(f"> {visible(line)}".rstrip() for line in one.quoted)
        parts.append(f"{_place(one)}:\n{quote}\n{one.text}")
    whole = "\n\n".join(parts)
    size = len(whole.encode())
    if size > MESSAGE_MAX:
        raise HiveError(
            ErrorCode.TOO_LARGE,
            f"The comments with their quoted lines are {size // 1024} KiB; the limit "
            f"is {MESSAGE_MAX // 1024} KiB. Comment on fewer lines.",
        )
    return whole


def counted(comments: Sequence[QuotedComment]) -> str:
    """Return the stand-in for a general comment if there are only line comments."""
    return "1 comment." if len(comments) == 1 else f"{len(comments)} comments."


def _place(one: QuotedComment) -> str:
    which = "" if one.base is None else f" of {BASE_NAMES[one.base]}"
    return f"{quoted(one.file, limit=_PATH_MAX)}, {one.place}{which}"


def _bad(comment: LineComment, why: str) -> HiveError:
    lines = str(comment.line) if comment.to is None else f"{comment.line}-{comment.to}"
    place = in_quotes(f"{comment.file}:{lines}", limit=_PATH_MAX)
    return HiveError(
        ErrorCode.BAD_REQUEST, f"Invalid position of a comment {place}: {why}."
    )
