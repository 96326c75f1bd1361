"""A commit's diff as data, for the approval page and the CLI."""

from collections.abc import Iterator
from enum import StrEnum

from pyglue.api.common import Result


class FileStatus(StrEnum):
    """What happened to a file."""

    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"
    RENAMED = "renamed"
    MODE = "mode"


class LineKind(StrEnum):
    """The kind of a line in a hunk."""

    CONTEXT = " "
    ADDED = "+"
    REMOVED = "-"


class DiffLine(Result, frozen=True):
    """One line, without its newline. Numbers are 1-based; None if absent.

    ``no_newline`` marks a last line without a newline.
    """

    kind: LineKind
    text: str
    old_no: int | None
    new_no: int | None
    no_newline: bool = False


class Hunk(Result, frozen=True):
    """A run of lines."""

    old_start: int
    old_lines: int
    new_start: int
    new_lines: int
    lines: tuple[DiffLine, ...]


class FileDiff(Result, frozen=True):
    """One file. ``truncated``: lines were left out because of its size.

    ``lines_after`` is the number of lines of the newer version; None if it was not read
    in full, or does not exist.
    """

    path: str
    old_path: str | None
    status: FileStatus
    binary: bool
    old_size: int | None
    new_size: int | None
    hunks: tuple[Hunk, ...]
    truncated: bool
    old_executable: bool = False
    new_executable: bool = False
    lines_after: int | None = None


def unchanged(file: FileDiff) -> Iterator[tuple[range, int]]:
    """Yield the lines above each hunk, and those after the last if they are known.

    Lines are numbered as in the newer version, each with the offset to the older one.
    """
    begin, shift = 1, 0
    for hunk in file.hunks:
        yield range(begin, hunk.new_start), shift
        begin = hunk.new_start + hunk.new_lines
        shift += hunk.old_lines - hunk.new_lines
    if file.hunks and file.lines_after is not None and not file.truncated:
        yield range(begin, file.lines_after + 1), shift
