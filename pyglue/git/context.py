"""Unchanged lines around the changes of a diff, numbered in both versions.

The operator asks for them while reviewing. What is not certainly unchanged is refused:
it belongs to a change that the diff shows as one, or left out for its size.
"""

from typing import Final

from pyglue.api.approvals import CONTEXT_MAX
from pyglue.api.diff import DiffLine, LineKind, unchanged
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.diff import diff
from pyglue.git.lines import text_of
from pyglue.git.repos import AppliedRepo
from pyglue.text.display import in_quotes

_PATH_MAX: Final = 400


def context(
    applied: AppliedRepo, old: str | None, new: str, path: str, lines: range
) -> tuple[DiffLine, ...]:
    """Return unchanged lines of ``path``, by their numbers in ``new``. Blocking.

    Raises:
        HiveError: ``not_found`` if the file does not differ between the commits, or a
            commit is not there; ``bad_request`` for lines that are not unchanged ones,
            none, or too many.
    """
    if not 0 < len(lines) <= CONTEXT_MAX:
        raise _bad(path, lines, f"ask for 1 to {CONTEXT_MAX} lines")
    found = [one for one in diff(applied, old, new, only=path) if one.path == path]
    text = text_of(applied, new, path) if found else None
    if text is None:
        raise HiveError(
            ErrorCode.NOT_FOUND,
            f"No file {in_quotes(path, limit=_PATH_MAX)} is changed in this diff.",
        )
    shifts = [
        shift
        for gap, shift in unchanged(found[0])
        if lines[0] in gap and lines[-1] in gap
    ]
    if not shifts:
        raise _bad(path, lines, "not all of these lines are there and unchanged")
    numbered = text.split("\n")
    return tuple(
        DiffLine(
            kind=LineKind.CONTEXT,
            text=numbered[number - 1],
            old_no=number + shifts[0],
            new_no=number,
            no_newline=number == len(numbered),
        )
        for number in lines
    )


def _bad(path: str, lines: range, why: str) -> HiveError:
    place = in_quotes(f"{path}:{lines.start}-{lines.stop - 1}", limit=_PATH_MAX)
    return HiveError(ErrorCode.BAD_REQUEST, f"Invalid lines {place}: {why}.")
