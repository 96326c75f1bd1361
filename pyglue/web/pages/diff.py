"""A proposal's file diffs as rows for a template, unified or side by side.

Operators decide by the approval page, so nothing is left out silently:
every limit here (lines of a file, lines of a page, characters of a line) leaves a
``note`` and makes ``FileView.complete`` false, and ``as_text`` gives the whole diff
without limits, hidden characters named.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from pyglue.api.diff import DiffLine, FileDiff, FileStatus, Hunk, LineKind
from pyglue.text.display import named
from pyglue.web.pages.gaps import Gap, gaps, line_count
from pyglue.web.pages.highlight import (
    LINE_SHOWN,
    Budget,
    coloured,
    is_coloured,
    line,
)
from pyglue.web.pages.word_diff import changed_words

FILE_LINES: Final = 2000
"""Maximum lines of one file on the page."""
PAGE_LINES: Final = 6000
"""Maximum lines of all files together on the page."""

_SIGNS: Final = {LineKind.ADDED: "+", LineKind.REMOVED: "-", LineKind.CONTEXT: " "}
_CSS: Final = {LineKind.ADDED: "add", LineKind.REMOVED: "del", LineKind.CONTEXT: "ctx"}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One line of one side."""

    css: str
    sign: str
    old_no: int | None
    new_no: int | None
    html: Markup
    no_newline: bool


@dataclass(frozen=True)
class Row:
    """A row of the side-by-side view; None is an empty side."""

    left: Cell | None
    right: Cell | None


@dataclass(frozen=True)
class HunkView:
    """A run of lines under its header; ``gap`` are the omitted lines above it."""

    header: str
    cells: tuple[Cell, ...]
    gap: Gap | None

    @property
    def rows(self) -> Iterator[Row]:
        """The same lines, removed ones beside the added ones that follow them."""
        removed: list[Cell] = []
        added: list[Cell] = []
        for cell in self.cells:
            if cell.css == "del":
                if added:
                    yield from _pair(removed, added)
                    removed, added = [], []
                removed.append(cell)
            elif cell.css == "add":
                added.append(cell)
            else:
                yield from _pair(removed, added)
                removed, added = [], []
                yield Row(cell, cell)
        yield from _pair(removed, added)


@dataclass(frozen=True, kw_only=True)
class FileView:
    """One file of the diff. ``note`` says what is not shown, and why.

    ``tail`` is the gap after the last hunk.
    """

    index: int
    path: str
    old_path: str | None
    status: str
    mode: str | None
    added: int
    removed: int
    hunks: tuple[HunkView, ...]
    tail: Gap | None
    note: str | None
    complete: bool

    @property
    def directory(self) -> str:
        """The part of the path up to its last slash, if it has one."""
        return self.path[: len(self.path) - len(self.name)]

    @property
    def name(self) -> str:
        """The part of the path after its last slash."""
        return self.path.rpartition("/")[2]

    @property
    def was_elsewhere(self) -> bool:
        """Whether it was renamed or copied from another path."""
        return self.old_path not in (None, self.path)


def build(
    files: Sequence[FileDiff], *, only: int | None = None
) -> tuple[FileView, ...]:
    """Return the views of all files, or ``only`` of one, within one page's limits."""
    budget = Budget()
    return tuple(
        _file(index, file, shown, budget)
        for index, (file, shown) in enumerate(_limited(files))
        if only in (None, index)
    )


def hidden(files: Sequence[FileDiff]) -> int:
    """Return how many files the page does not show in full."""
    return sum(bool(list(_notes(file, shown))) for file, shown in _limited(files))


def _limited(files: Sequence[FileDiff]) -> Iterator[tuple[FileDiff, int]]:
    """Yield every file with the number of its lines that fit on the page."""
    left = PAGE_LINES
    for file in files:
        shown = min(line_count(file), FILE_LINES, left)
        left -= shown
        yield file, shown


def as_text(files: Sequence[FileDiff]) -> Iterator[str]:
    """Yield the whole diff in pieces of plain text, with hidden characters named."""
    for file in files:
        old = file.old_path or file.path
        yield f"--- {named(_one_line(old))}\n+++ {named(_one_line(file.path))}\n"
        yield f"# {_status(file)}{_mode(file) or ''}\n"
        if file.binary:
            yield f"# {_sizes(file)}\n"
        for hunk in file.hunks:
            yield f"{_header(hunk)}\n"
            for item in hunk.lines:
                yield f"{_SIGNS[item.kind]}{named(item.text)}\n"
                if item.no_newline:
                    yield "\\ No newline at end of file\n"
        if file.truncated:
            yield "# The rest of this file was left out (too large).\n"
        yield "\n"


def _one_line(path: str) -> str:
    return path.replace("\n", "\u240a").replace("\t", "\u2409")


def _file(index: int, file: FileDiff, limit: int, budget: Budget) -> FileView:
    lines = [item for hunk in file.hunks for item in hunk.lines]
    shown, hunks = 0, []
    *above, tail = gaps(file, limit)
    for hunk, gap in zip(file.hunks, above, strict=True):
        take = hunk.lines[: limit - shown]
        if take:
            cells = _cells(file, hunk, take, budget)
            hunks.append(HunkView(_header(hunk), cells, gap))
        shown += len(take)
    notes = list(_notes(file, limit))
    return FileView(
        index=index,
        path=_one_line(file.path),
        old_path=_one_line(file.old_path) if file.old_path else None,
        status=_status(file),
        mode=_mode(file),
        added=sum(item.kind is LineKind.ADDED for item in lines),
        removed=sum(item.kind is LineKind.REMOVED for item in lines),
        hunks=tuple(hunks),
        tail=tail,
        note=" ".join(notes) or None,
        complete=not notes,
    )


def _notes(file: FileDiff, shown: int) -> Iterator[str]:
    """Yield a sentence for each part of ``file`` that the page does not show."""
    lines = [item for hunk in file.hunks for item in hunk.lines]
    if file.binary:
        yield f"Binary file, not shown ({_sizes(file)})."
    if shown < len(lines):
        yield f"{len(lines) - shown:,} of {len(lines):,} lines are not shown."
    if any(len(item.text) > LINE_SHOWN for item in lines[:shown]):
        yield "Long lines are truncated."
    if file.truncated:
        yield "The file is too large; some lines were left out."


def _cells(
    file: FileDiff, hunk: Hunk, lines: Sequence[DiffLine], budget: Budget
) -> tuple[Cell, ...]:
    html = _html(file.path, hunk, lines, budget)
    return tuple(
        Cell(
            css=_CSS[item.kind],
            sign=_SIGNS[item.kind],
            old_no=item.old_no,
            new_no=item.new_no,
            html=text,
            no_newline=item.no_newline,
        )
        for item, text in zip(lines, html, strict=True)
    )


def _html(
    path: str, hunk: Hunk, lines: Sequence[DiffLine], budget: Budget
) -> list[Markup]:
    """Highlight each side separately: only then are strings and comments right."""
    marks = changed_words(lines)
    if not is_coloured(path):
        return [line(item.text, marks.get(n)) for n, item in enumerate(lines)]
    result: dict[int, Markup] = {}
    for other, start in (
        (LineKind.ADDED, hunk.old_start),
        (LineKind.REMOVED, hunk.new_start),
    ):
        numbers = [n for n, item in enumerate(lines) if item.kind is not other]
        shown = coloured(
            path,
            [lines[n].text for n in numbers],
            budget,
            whole=start <= 1,
            marks=[marks.get(n) for n in numbers],
        )
        result.update(zip(numbers, shown, strict=True))
    return [result[number] for number in range(len(lines))]


def _pair(removed: Sequence[Cell], added: Sequence[Cell]) -> Iterator[Row]:
    for number in range(max(len(removed), len(added))):
        yield Row(
            removed[number] if number < len(removed) else None,
            added[number] if number < len(added) else None,
        )


def _header(hunk: Hunk) -> str:
    old = f"-{hunk.old_start},{hunk.old_lines}"
    return f"@@ {old} +{hunk.new_start},{hunk.new_lines} @@"


def _status(file: FileDiff) -> str:
    words = {
        FileStatus.ADDED: "new file",
        FileStatus.DELETED: "deleted",
        FileStatus.RENAMED: "renamed",
        FileStatus.MODE: "mode changed",
        FileStatus.MODIFIED: "modified",
    }
    return words[file.status]


def _mode(file: FileDiff) -> str | None:
    if file.old_executable == file.new_executable:
        return None
    return ", now executable" if file.new_executable else ", no longer executable"


def _sizes(file: FileDiff) -> str:
    old = "absent" if file.old_size is None else f"{file.old_size:,} bytes"
    new = "absent" if file.new_size is None else f"{file.new_size:,} bytes"
    return f"before: {old}, after: {new}"
