"""Lines around the changes of an approval, which the operator expands step by step.

The address of a page names them: ``lines=2:40-59`` are those lines of the third file.
hived reads them from the commits that the approval shows, and refuses any that may
contain a change. They count towards the limits of the page, but never displace a
changed line.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

import msgspec
from flask import request

from pyglue.api.approvals import CONTEXT_MAX, ContextParams, DiffBase
from pyglue.api.diff import DiffLine, FileDiff, Hunk
from pyglue.errors import ErrorCode, HiveError
from pyglue.web.pages.diff import FILE_LINES, PAGE_LINES
from pyglue.web.pages.gaps import Gap, line_count

_STEP: Final = 20
"""Lines that one link shows."""
_RANGES: Final = 30
_RANGE: Final = re.compile(r"(\d{1,4}):(\d{1,8})-(\d{1,8})", re.ASCII)


@dataclass(frozen=True, order=True)
class Lines:
    """Lines of a file, both ends included, by their numbers in the proposed one."""

    file: int
    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class Link:
    """Shows more lines."""

    text: str
    href: str


@dataclass(frozen=True, kw_only=True)
class Expansion:
    """The lines of an approval shown besides its changes, and links to more."""

    path: str
    query: tuple[tuple[str, str], ...]
    lines: tuple[Lines, ...]
    lines_left: int
    """Number of lines that the page may still show."""

    def links(self, file: int, gap: Gap) -> Iterator[Link]:
        """Yield the links that show more of a gap: downwards, upwards, or all."""
        count = gap.last - gap.first + 1
        if min(count, _STEP) > self.lines_left:
            return
        if count <= _STEP:
            what = "1 line" if count == 1 else f"all {count} lines"
            yield self._link(f"Show {what}", Lines(file, gap.first, gap.last))
            return
        if gap.after:
            below = Lines(file, gap.first, gap.first + _STEP - 1)
            yield self._link(f"↓ Show {_STEP} lines below", below)
        if gap.before:
            above = Lines(file, gap.last - _STEP + 1, gap.last)
            yield self._link(f"↑ Show {_STEP} lines above", above)

    def _link(self, text: str, more: Lines) -> Link:
        query = urlencode(
            [*self.query, *_written(merged((*self.lines, more)))], safe=":-"
        )
        anchor = f"line-{more.file}-{more.first}"
        return Link(text=text, href=f"{self.path}?{query}#{anchor}")

    @property
    def kept(self) -> str:
        """Return the query that keeps the lines in another link to the page."""
        return "".join(f"&{name}={value}" for name, value in _written(self.lines))

    def targets(self, file: int) -> frozenset[int]:
        """Return the lines of a file that a link may lead to."""
        return frozenset(
            number
            for one in self.lines
            if one.file == file
            for number in range(one.first, one.last + 1)
        )


def asked() -> tuple[Lines, ...]:
    """Return the requested lines, merged, in order.

    Raises:
        HiveError: ``bad_request`` for an invalid range, and for too many.
    """
    given = request.args.getlist("lines")
    if len(given) > _RANGES:
        raise HiveError(
            ErrorCode.BAD_REQUEST, f"At most {_RANGES} ranges of lines can be shown."
        )
    found = []
    for one in given:
        match = _RANGE.fullmatch(one)
        if match is None or int(match[2]) > int(match[3]):
            raise HiveError(
                ErrorCode.BAD_REQUEST,
                f"Invalid lines {one[:40]!r}: use numbers, FILE:FIRST-LAST.",
            )
        found.append(Lines(int(match[1]), int(match[2]), int(match[3])))
    return merged(found)


def merged(lines: Sequence[Lines]) -> tuple[Lines, ...]:
    """Return the same lines in order, with adjacent ranges merged."""
    found: list[Lines] = []
    for one in sorted(lines):
        last = found[-1] if found else None
        if last and last.file == one.file and one.first <= last.last + 1:
            found[-1] = Lines(last.file, last.first, max(last.last, one.last))
        else:
            found.append(one)
    return tuple(found)


def expanded(
    files: Sequence[FileDiff],
    lines: Sequence[Lines],
    read: Callable[[ContextParams], Sequence[DiffLine]],
    *,
    number: int,
    base: DiffBase,
) -> tuple[FileDiff, ...]:
    """Return the files with these lines beside their changes; ``read`` asks hived.

    Raises:
        HiveError: ``not_found`` for an unknown file, ``too_large`` for more than a page
        shows; hived's refusals.
    """
    grown = list(files)
    for one in lines:
        if one.file >= len(files):
            raise HiveError(ErrorCode.NOT_FOUND, f"There is no file {one.file} here.")
        file = grown[one.file]
        left = min(PAGE_LINES - line_count(*grown), FILE_LINES - line_count(file))
        if one.last - one.first >= min(left, CONTEXT_MAX):
            raise HiveError(
                ErrorCode.TOO_LARGE,
                "These are more lines than one page shows. Read the raw diff.",
            )
        asked_for = ContextParams(
            id=number, file=file.path, first=one.first, last=one.last, base=base
        )
        grown[one.file] = _with(file, read(asked_for))
    return tuple(grown)


def lines_left(files: Sequence[FileDiff]) -> int:
    """Return how many lines a page of these files may still show."""
    return PAGE_LINES - line_count(*files)


def _with(file: FileDiff, lines: Sequence[DiffLine]) -> FileDiff:
    """Return a file with unchanged lines as a hunk, joined with those it touches."""
    start = lines[0]
    more = Hunk(
        old_start=start.old_no or 0,
        old_lines=len(lines),
        new_start=start.new_no or 0,
        new_lines=len(lines),
        lines=tuple(lines),
    )
    hunks: list[Hunk] = []
    for hunk in sorted((*file.hunks, more), key=lambda one: one.new_start):
        last = hunks[-1] if hunks else None
        if last and last.new_start + last.new_lines == hunk.new_start:
            hunks[-1] = Hunk(
                old_start=last.old_start,
                old_lines=last.old_lines + hunk.old_lines,
                new_start=last.new_start,
                new_lines=last.new_lines + hunk.new_lines,
                lines=(*last.lines, *hunk.lines),
            )
        else:
            hunks.append(hunk)
    return msgspec.structs.replace(file, hunks=tuple(hunks))


def _written(lines: Sequence[Lines]) -> list[tuple[str, str]]:
    return [("lines", f"{one.file}:{one.first}-{one.last}") for one in lines]
