"""A commit's differences as data: what the approval page and the CLI draw."""

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
    """A line of a hunk."""

    CONTEXT = " "
    ADDED = "+"
    REMOVED = "-"


class DiffLine(Result, frozen=True):
    """One line, without its newline. Numbers are 1-based; None where it is absent.

    ``no_newline`` marks a last line that has none.
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
    """One file. ``truncated`` says that lines were left out for size."""

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
