"""Differences between two checked commits, as data for the approval page and CLI.

Both trees have passed the check, so libgit2 may compare them in this process. The
work is bounded by ``DiffLimits``, because libgit2 holds Python's lock while it
compares. A file cut off for its size is marked ``truncated``; a single file can be
requested with larger limits. Text keeps every character: readers escape it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec
import pygit2
from pygit2.enums import DeltaStatus, DiffFind, DiffOption, FileMode

from pyglue.api.diff import DiffLine, FileDiff, FileStatus, Hunk, LineKind
from pyglue.git.objects import parse_commit
from pyglue.git.repos import AppliedRepo, read_commit

_BINARY_PROBE: Final = 8000
"""A zero byte within so many bytes makes a file binary, as in git."""
_RENAME_FILES: Final = 200
_RENAME_BYTES: Final = 1024 * 1024
"""Beyond this size, only renames without changes are detected."""


@dataclass(frozen=True, kw_only=True)
class DiffLimits:
    """How much text is compared and returned; files beyond that are ``truncated``.

    Comparing 32,000 different lines takes up to 0.1 s, and the time grows with the
    square, so lines to compare and lines to return have separate limits.
    """

    max_file_bytes: int = 256 * 1024
    max_file_lines: int = 3_000
    max_file_compared: int = 20_000
    max_total_bytes: int = 2 * 1024 * 1024
    max_total_lines: int = 20_000
    max_total_compared: int = 100_000


def diff(
    applied: AppliedRepo,
    old: str | None,
    new: str,
    *,
    only: str | None = None,
    limits: DiffLimits | None = None,
) -> tuple[FileDiff, ...]:
    """Return the files that differ between two commits, by path.

    ``old`` None compares with an empty tree; ``only`` is the (new) path of one file.

    Raises:
        HiveError: ``not_found`` if a commit is not in the applied repository.
    """
    with applied.open() as repo:
        budget = _Budget(limits or DiffLimits())
        return tuple(
            _file(repo, delta, budget)
            for delta in _deltas(repo, old, new)
            if only is None or only in (delta.new_file.path, delta.old_file.path)
        )


def diff_text(path: str, before: str, after: str) -> FileDiff:
    """Return how two texts differ, as a file ``path`` of two commits would."""
    old, new = before.encode(), after.encode()
    text = _text(path, old, new, _Budget(DiffLimits()))
    return FileDiff(
        path=path,
        old_path=None,
        status=FileStatus.MODIFIED,
        binary=text.binary,
        old_size=len(old),
        new_size=len(new),
        hunks=text.hunks,
        truncated=text.truncated,
    )


class _Budget:
    """How much may still be read, compared and returned; each file uses some of it."""

    def __init__(self, limits: DiffLimits) -> None:
        self._limits = limits
        self._bytes = limits.max_total_bytes
        self._lines = limits.max_total_lines
        self._compared = limits.max_total_compared

    def left(self) -> int:
        """Return how many bytes of the next file may be read."""
        return min(self._bytes, self._limits.max_file_bytes)

    def lines(self) -> int:
        """Return how many lines of the next file may be returned."""
        return min(self._lines, self._limits.max_file_lines)

    def take_bytes(self, size: int) -> None:
        """Count bytes that were read."""
        self._bytes -= size

    def take_lines(self, count: int) -> None:
        """Count lines that are returned."""
        self._lines -= count

    def may_compare(self, before: bytes, after: bytes) -> bool:
        """Count the lines of both sides; False if there are too many."""
        count = before.count(b"\n") + after.count(b"\n")
        if count > min(self._compared, self._limits.max_file_compared):
            return False
        self._compared -= count
        return True


def _deltas(
    repo: pygit2.Repository, old: str | None, new: str
) -> Iterator[pygit2.DiffDelta]:
    after = _tree(repo, new)
    if old is None:
        found = after.diff_to_tree(swap=True)
    else:
        found = _tree(repo, old).diff_to_tree(after)
        renames = DiffFind.FIND_RENAMES
        if not _may_look_inside(repo, found):
            renames |= DiffFind.FIND_EXACT_MATCH_ONLY
        found.find_similar(renames)
    return found.deltas


def _may_look_inside(repo: pygit2.Repository, found: pygit2.Diff) -> bool:
    """Whether it is cheap enough to detect renamed files that also changed."""
    moved = [
        delta.old_file if delta.status == DeltaStatus.DELETED else delta.new_file
        for delta in found.deltas
        if delta.status in (DeltaStatus.ADDED, DeltaStatus.DELETED)
    ]
    if len(moved) > _RENAME_FILES:
        return False
    return sum(repo.odb.read_header(file.id)[1] for file in moved) <= _RENAME_BYTES


def _tree(repo: pygit2.Repository, commit: str) -> pygit2.Tree:
    return repo[parse_commit(read_commit(repo, commit)).tree].peel(pygit2.Tree)


def _file(
    repo: pygit2.Repository, delta: pygit2.DiffDelta, budget: _Budget
) -> FileDiff:
    old = None if delta.status == DeltaStatus.ADDED else delta.old_file
    new = None if delta.status == DeltaStatus.DELETED else delta.new_file
    old_size = None if old is None else int(repo.odb.read_header(old.id)[1])
    new_size = None if new is None else int(repo.odb.read_header(new.id)[1])
    path = delta.new_file.path
    text = _Text()
    if delta.old_file.id != delta.new_file.id:
        size = (old_size or 0) + (new_size or 0)
        two_sided = old is not None and new is not None
        if budget.left() == 0 or (two_sided and size > budget.left()):
            text = _Text(truncated=size > 0)
        else:
            budget.take_bytes(min(size, budget.left()))
            before = b"" if old is None else bytes(repo.odb.read(old.id)[1])
            after = b"" if new is None else bytes(repo.odb.read(new.id)[1])
            text = _text(path, before, after, budget)
    return FileDiff(
        path=path,
        old_path=delta.old_file.path if delta.old_file.path != path else None,
        status=_status(delta),
        binary=text.binary,
        old_size=old_size,
        new_size=new_size,
        hunks=text.hunks,
        truncated=text.truncated,
        old_executable=old is not None and old.mode == FileMode.BLOB_EXECUTABLE,
        new_executable=new is not None and new.mode == FileMode.BLOB_EXECUTABLE,
        lines_after=text.lines_after,
    )


def _status(delta: pygit2.DiffDelta) -> FileStatus:
    known = {
        DeltaStatus.ADDED: FileStatus.ADDED,
        DeltaStatus.DELETED: FileStatus.DELETED,
        DeltaStatus.RENAMED: FileStatus.RENAMED,
    }
    if delta.status in known:
        return known[delta.status]
    if delta.old_file.id == delta.new_file.id:
        return FileStatus.MODE
    return FileStatus.MODIFIED


@dataclass(frozen=True, kw_only=True)
class _Text:
    """The part of one file that is shown."""

    hunks: tuple[Hunk, ...] = ()
    binary: bool = False
    truncated: bool = False
    lines_after: int | None = None


def _text(path: str, before: bytes, after: bytes, budget: _Budget) -> _Text:
    if _is_binary(path, before, after):
        return _Text(binary=True)
    cut, lines_after = False, None
    if before and after:
        if not budget.may_compare(before, after):
            return _Text(truncated=True)
        lines_after = after.count(b"\n") + (not after.endswith(b"\n"))
    else:
        # Only one side: nothing to compare, so show the beginning.
        whole = before or after
        part = _head(whole, budget)
        cut = len(part) < len(whole)
        before, after = (part, b"") if before else (b"", part)
    hunks, left_out = _hunks(before, after, budget)
    return _Text(hunks=hunks, truncated=cut or left_out, lines_after=lines_after)


def _is_binary(path: str, before: bytes, after: bytes) -> bool:
    """A zero byte must not hide a change to files that define the agent."""
    if path.endswith(".nix"):
        return False
    return b"\0" in before[:_BINARY_PROBE] or b"\0" in after[:_BINARY_PROBE]


def _head(content: bytes, budget: _Budget) -> bytes:
    """Return as many of the first lines as the budget allows."""
    end = 0
    for _ in range(budget.lines()):
        end = content.find(b"\n", end) + 1
        if end == 0:
            end = len(content)
            break
    return content[: min(end, budget.left())]


def _hunks(
    before: bytes, after: bytes, budget: _Budget
) -> tuple[tuple[Hunk, ...], bool]:
    """Return hunks with three lines of context, cut off at the end of the budget."""
    if before == after:
        return (), False
    patch = pygit2.Patch.create_from(before, after, flag=DiffOption.FORCE_TEXT)
    allowed = left = budget.lines()
    found = []
    for raw in patch.hunks:
        if left <= 0:
            break
        lines = _lines(raw, left)
        left -= len(lines)
        found.append(
            Hunk(
                old_start=raw.old_start,
                old_lines=raw.old_lines,
                new_start=raw.new_start,
                new_lines=raw.new_lines,
                lines=lines,
            )
        )
    budget.take_lines(allowed - left)
    shown = sum(len(hunk.lines) for hunk in found)
    return tuple(found), shown < sum(patch.line_stats)


def _lines(raw: pygit2.DiffHunk, limit: int) -> tuple[DiffLine, ...]:
    lines: list[DiffLine] = []
    for line in raw.lines:
        if line.origin not in " +-":
            # A marker: the line before it is the last one and has no newline.
            if lines:
                lines[-1] = msgspec.structs.replace(lines[-1], no_newline=True)
            continue
        if len(lines) == limit:
            break
        lines.append(
            DiffLine(
                kind=LineKind(line.origin),
                text=line.raw_content.decode("utf-8", "replace").removesuffix("\n"),
                old_no=line.old_lineno if line.old_lineno > 0 else None,
                new_no=line.new_lineno if line.new_lineno > 0 else None,
            )
        )
    return tuple(lines)
