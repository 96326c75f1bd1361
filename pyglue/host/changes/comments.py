"""Comments on lines of a proposal: quoted from git, found again, sent to the manager.

The lines were written by agents: in the message each is one visible line behind ``>``.
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
from pyglue.display import quoted, said, visible
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.lines import lines_of
from pyglue.git.repos import AppliedRepo
from pyglue.store.approvals import ApprovalRow

_LINE_MAX: Final = 400
"""Characters of a quoted line; lines are also compared up to there."""
_NEAR: Final = 5000
"""Lines before and after the old place in which a commented line is looked for."""
_PATH_MAX: Final = 400
MESSAGE_MAX: Final = 64 * 1024
"""Bytes of the message with all comments and quoted lines."""


def quote(repo: AppliedRepo, commit: str | None, comment: LineComment) -> QuotedComment:
    """Return a comment with its lines of ``commit``. Blocking.

    Raises:
        HiveError: ``bad_request`` for a file or a line that is not there.
    """
    last = comment.line if comment.to is None else comment.to
    if not comment.line <= last < comment.line + COMMENTED_LINES:
        raise _bad(
            comment,
            f"the last line must be at or after the first, and the comment about at "
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
    """Return comments with where their lines are in ``commit``, if there. Blocking."""
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
        "was deployed; propose again when they are made."
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
            f"Text and comments with their quoted lines are {size // 1024} KiB; at "
            f"most {MESSAGE_MAX // 1024} KiB. Comment on fewer lines.",
        )
    return whole


def counted(comments: Sequence[QuotedComment]) -> str:
    """Return what stands for the overall text if there are only comments."""
    return "1 comment." if len(comments) == 1 else f"{len(comments)} comments."


def _place(one: QuotedComment) -> str:
    which = "" if one.base is None else f" of {BASE_NAMES[one.base]}"
    return f"{quoted(one.file, limit=_PATH_MAX)}, {one.place}{which}"


def _bad(comment: LineComment, why: str) -> HiveError:
    lines = str(comment.line) if comment.to is None else f"{comment.line}-{comment.to}"
    place = said(f"{comment.file}:{lines}", limit=_PATH_MAX)
    return HiveError(
        ErrorCode.BAD_REQUEST, f"Invalid place of a comment {place}: {why}."
    )
