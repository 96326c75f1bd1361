"""Differences between two checked commits, as data for the approval page and CLI.

Both trees have passed the check, so libgit2 may compare them in this process. The
work is bounded by ``DiffLimits``, because libgit2 keeps Python's lock while it
compares; what is left out for size says so (``truncated``), and one file can be
asked for with larger limits. Text keeps every character: showing it is the reader's.
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
"""Bytes in which a zero byte makes a file binary, as git does it."""
_RENAMES: Final = 100
"""Most files for which renames with changes are looked for."""


@dataclass(frozen=True)
class DiffLimits:
    """How much text is compared and returned; beyond it, files are ``truncated``."""

    max_file_bytes: int = 256 * 1024
    max_file_lines: int = 3_000
    max_total_bytes: int = 2 * 1024 * 1024
    max_total_lines: int = 20_000


def diff(
    applied: AppliedRepo,
    old: str | None,
    new: str,
    *,
    only: str | None = None,
    limits: DiffLimits | None = None,
) -> tuple[FileDiff, ...]:
    """Return the files that differ between two commits, by path.

    ``old`` None compares with nothing; ``only`` is the (new) path of one file.

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


class _Budget:
    """What may still be compared; large files spend it for those after them."""

    def __init__(self, limits: DiffLimits) -> None:
        self._limits = limits
        self._bytes = limits.max_total_bytes
        self._lines = limits.max_total_lines

    def take_bytes(self, size: int) -> bool:
        """Reserve ``size`` bytes to compare; False if that is too much."""
        if size > min(self._bytes, self._limits.max_file_bytes):
            return False
        self._bytes -= size
        return True

    def lines(self) -> int:
        """Return how many lines the next file may have."""
        return min(self._lines, self._limits.max_file_lines)

    def take_lines(self, count: int) -> None:
        """Reserve ``count`` lines."""
        self._lines -= count


def _deltas(
    repo: pygit2.Repository, old: str | None, new: str
) -> Iterator[pygit2.DiffDelta]:
    after = _tree(repo, new)
    if old is None:
        found = after.diff_to_tree(swap=True)
    else:
        found = _tree(repo, old).diff_to_tree(after)
        found.find_similar(DiffFind.FIND_RENAMES, rename_limit=_RENAMES)
    return found.deltas


def _tree(repo: pygit2.Repository, commit: str) -> pygit2.Tree:
    return repo[parse_commit(read_commit(repo, commit)).tree].peel(pygit2.Tree)


def _file(
    repo: pygit2.Repository, delta: pygit2.DiffDelta, budget: _Budget
) -> FileDiff:
    has_old = delta.status != DeltaStatus.ADDED
    has_new = delta.status != DeltaStatus.DELETED
    old_size = _size(repo, delta.old_file) if has_old else None
    new_size = _size(repo, delta.new_file) if has_new else None
    path = delta.new_file.path
    binary = truncated = False
    hunks: tuple[Hunk, ...] = ()
    if delta.old_file.id != delta.new_file.id:
        if budget.take_bytes((old_size or 0) + (new_size or 0)):
            before = _content(repo, delta.old_file) if has_old else b""
            after = _content(repo, delta.new_file) if has_new else b""
            binary = _is_binary(path, before, after)
            if not binary:
                hunks, truncated = _hunks(before, after, budget)
        else:
            truncated = True
    return FileDiff(
        path=path,
        old_path=delta.old_file.path if delta.old_file.path != path else None,
        status=_status(delta),
        binary=binary,
        old_size=old_size,
        new_size=new_size,
        old_executable=has_old and delta.old_file.mode == FileMode.BLOB_EXECUTABLE,
        new_executable=has_new and delta.new_file.mode == FileMode.BLOB_EXECUTABLE,
        hunks=hunks,
        truncated=truncated,
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


def _size(repo: pygit2.Repository, file: pygit2.DiffFile) -> int:
    return int(repo.odb.read_header(file.id)[1])


def _content(repo: pygit2.Repository, file: pygit2.DiffFile) -> bytes:
    return bytes(repo.odb.read(file.id)[1])


def _is_binary(path: str, before: bytes, after: bytes) -> bool:
    """A zero byte must not hide a change to what decides the agent's shape."""
    if path.endswith(".nix"):
        return False
    return b"\0" in before[:_BINARY_PROBE] or b"\0" in after[:_BINARY_PROBE]


def _hunks(
    before: bytes, after: bytes, budget: _Budget
) -> tuple[tuple[Hunk, ...], bool]:
    """Return hunks with three lines of context, cut off where the budget ends."""
    patch = pygit2.Patch.create_from(before, after, flag=DiffOption.FORCE_TEXT)
    allowed = left = budget.lines()
    found = []
    for raw in patch.hunks:
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
        if left <= 0:
            break
    budget.take_lines(allowed - left)
    shown = sum(len(hunk.lines) for hunk in found)
    return tuple(found), shown < sum(patch.line_stats)


def _lines(raw: pygit2.DiffHunk, limit: int) -> tuple[DiffLine, ...]:
    lines: list[DiffLine] = []
    for line in raw.lines:
        if line.origin not in " +-":
            # A marker: the line before it is the last and has no newline.
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
