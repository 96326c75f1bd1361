"""The gaps of a diff: unchanged lines between its hunks, which the page can show.

``diff`` inserts links in their place, and ``expand`` shows them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pyglue.api.diff import FileDiff, unchanged


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Unchanged lines that are not shown, by their numbers in the newer version.

    ``after`` and ``before``: a hunk is shown above them, and below them.
    """

    first: int
    last: int
    after: bool
    before: bool


def line_count(*files: FileDiff) -> int:
    """Return the lines of all hunks."""
    return sum(len(hunk.lines) for file in files for hunk in file.hunks)


def gaps(file: FileDiff, shown: int) -> Iterator[Gap | None]:
    """Yield the gap above each hunk, and after the last.

    None if the file's lines are unknown, or if not all of its hunks are shown.
    """
    is_known = file.hunks and file.lines_after is not None and not file.truncated
    if not is_known or shown < line_count(file):
        yield from (None for _ in range(len(file.hunks) + 1))
        return
    for number, (lines, _) in enumerate(unchanged(file)):
        yield (
            Gap(
                first=lines.start,
                last=lines.stop - 1,
                after=number > 0,
                before=number < len(file.hunks),
            )
            if lines
            else None
        )
