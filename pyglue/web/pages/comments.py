"""Comments on lines of a proposal: read from its form, shown on top and beside lines.

The page's script keeps unsent comments and adds them to the form as JSON; without the
script, the form has fields for file, line and text.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from flask import request

from pyglue import strict_json
from pyglue.api import line_comments
from pyglue.api.approvals import ApprovalDetail, DiffBase, LineComment, QuotedComment
from pyglue.errors import ErrorCode, HiveError
from pyglue.web.pages.common import field
from pyglue.web.pages.diff import FileView

FIELDS: Final = 3
"""Number of comments that the form has fields for."""

Line = tuple[str, str, int]
"""A file, the side of its diff, the number of a line."""


@dataclass(frozen=True, kw_only=True)
class Note:
    """A comment as shown on the page; ``beside``: also at its lines in the diff."""

    anchor: str
    comment: QuotedComment
    line: int | None
    beside: bool


@dataclass(frozen=True)
class Notes:
    """All comments of a page."""

    own: tuple[Note, ...]
    asked: tuple[Note, ...]

    @property
    def beside(self) -> Mapping[Line, Sequence[Note]]:
        """Return the comments shown beside lines, by the last of their lines."""
        found: dict[Line, list[Note]] = defaultdict(list)
        for note in (*self.own, *self.asked):
            if note.beside:
                found[_line(note)].append(note)
        return found


def notes(
    detail: ApprovalDetail, base: DiffBase | None, files: Sequence[FileView]
) -> Notes:
    """Return the comments on a proposal, and those that it may respond to."""
    shown = set(_shown(files, base))

    def made(name: str, one: QuotedComment, line: int | None) -> Note:
        last = None if line is None else line + one.to - one.line
        side = one.base.value if one.base else ""
        return Note(
            anchor=name, comment=one, line=last, beside=(one.file, side, last) in shown
        )

    asked = detail.asked.comments if detail.asked else ()
    return Notes(
        own=tuple(made(f"said-{n}", c, c.line) for n, c in enumerate(detail.comments)),
        asked=tuple(made(f"asked-{n}", c, c.line_now) for n, c in enumerate(asked)),
    )


def sent() -> tuple[LineComment, ...]:
    """Return the comments in a form.

    Raises:
        HiveError: ``bad_request`` for one without a file, a line or a text.
    """
    drafted = field("comments") if "comments" in request.form else "[]"
    return (*strict_json.read(drafted, tuple[LineComment, ...]), *_typed())


def _typed() -> Iterator[LineComment]:
    given = (request.form.getlist(name) for name in ("file", "line", "note"))
    for file, line, note in zip(*given, strict=False):
        text = note.replace("\r\n", "\n").strip()
        if text and file and line.strip():
            yield line_comments.made(file, line.strip(), text)
        elif text or line.strip():
            raise HiveError(
                ErrorCode.BAD_REQUEST,
                "A comment on a line needs its file, its line and its text.",
            )


def _line(note: Note) -> Line:
    side = note.comment.base.value if note.comment.base else ""
    return note.comment.file, side, note.line or 0


def _shown(
    files: Sequence[FileView], base: DiffBase | None
) -> Iterator[tuple[str, str, int | None]]:
    old = base.value if base else None
    for file in files:
        for hunk in file.hunks:
            for cell in hunk.cells:
                if cell.css != "del":
                    yield file.path, "", cell.new_no
                elif old is not None:
                    yield file.path, old, cell.old_no
