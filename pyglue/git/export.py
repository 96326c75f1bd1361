"""The files of a commit in an applied repository: listed, read, written out.

Used for evaluation, deployment and the manager's working copy. The commit has been
checked before, but these functions take a SHA, so they apply every rule again that
keeps a write inside its directory: kinds, names, depth, and directory descriptors with
O_NOFOLLOW at every step instead of paths.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pygit2

from pyglue.errors import ErrorCode, HiveError
from pyglue.git import filenames
from pyglue.git.objects import (
    EXECUTABLE_MODE,
    FILE_MODE,
    TREE_MODE,
    Entry,
    parse_commit,
    parse_tree,
)
from pyglue.git.repos import AppliedRepo, read_commit
from pyglue.git.verdict import PackLimits

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class TreeFile:
    """One file of a commit; ``size`` is in bytes."""

    path: str
    executable: bool
    size: int


def list_files(
    applied: AppliedRepo, commit: str, *, limits: PackLimits | None = None
) -> tuple[TreeFile, ...]:
    """Return every file of ``commit``, in git's order.

    Raises:
        HiveError: ``not_found``; ``unsafe_tree`` for what the rules refuse.
    """
    with applied.open() as repo:
        return tuple(
            TreeFile(
                path="/".join(path),
                executable=entry.mode == EXECUTABLE_MODE,
                size=repo.odb.read_header(entry.sha)[1],
            )
            for path, entry in _walk(repo, commit, limits or PackLimits())
            if entry.mode != TREE_MODE
        )


def read_file(
    applied: AppliedRepo, commit: str, path: str, *, limits: PackLimits | None = None
) -> bytes:
    """Return the contents of one file of ``commit`` (bounded by the pack limits).

    Raises:
        HiveError: ``not_found`` if the commit or the file does not exist.
    """
    wanted = path.split("/")
    with applied.open() as repo:
        for found, entry in _walk(repo, commit, limits or PackLimits()):
            if found == wanted and entry.mode != TREE_MODE:
                return bytes(repo.odb.read(entry.sha)[1])
    raise HiveError(
        ErrorCode.NOT_FOUND,
        f"There is no file {filenames.show(path)} in commit {commit}.",
    )


def export_tree(
    applied: AppliedRepo,
    commit: str,
    dest: Path,
    *,
    limits: PackLimits | None = None,
) -> None:
    """Write the files of ``commit`` into ``dest``, an existing empty directory.

    Directories and executables get mode 0755, other files 0644; everything belongs to
    the user of this process.

    Raises:
        HiveError: ``conflict`` if ``dest`` is not empty; ``not_found``;
            ``unsafe_tree``.
    """
    root = os.open(dest, _DIRECTORY)
    opened = [root]
    try:
        if os.listdir(root):  # noqa: PTH208 (a descriptor, not a path)
            raise HiveError(
                ErrorCode.CONFLICT, "Files are only exported to an empty directory."
            )
        with applied.open() as repo:
            for path, entry in _walk(repo, commit, limits or PackLimits()):
                # Depth first: the parent is the directory last opened at its level.
                while len(opened) > len(path):
                    os.close(opened.pop())
                parent, name = opened[-1], path[-1]
                if entry.mode == TREE_MODE:
                    os.mkdir(name, 0o755, dir_fd=parent)
                    opened.append(os.open(name, _DIRECTORY, dir_fd=parent))
                    os.fchmod(opened[-1], 0o755)
                else:
                    _write(parent, name, repo.odb.read(entry.sha)[1], entry.mode)
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _write(parent: int, name: str, content: bytes, mode: int) -> None:
    descriptor = os.open(name, _NEW_FILE, 0o600, dir_fd=parent)
    with os.fdopen(descriptor, "wb") as stream:
        os.fchmod(stream.fileno(), 0o755 if mode == EXECUTABLE_MODE else 0o644)
        stream.write(content)


def _walk(
    repo: pygit2.Repository, commit: str, limits: PackLimits
) -> Iterator[tuple[list[str], Entry]]:
    """Yield each entry of the commit with its path, a directory before its contents.

    Raises:
        HiveError: ``not_found``; ``unsafe_tree`` for what the rules refuse.
    """
    tree = parse_commit(read_commit(repo, commit)).tree
    top = parse_tree(repo.odb.read(tree)[1])
    todo: list[tuple[list[str], Entry]] = [([], entry) for entry in reversed(top)]
    seen = 0
    while todo:
        above, entry = todo.pop()
        seen += 1
        why = filenames.problem(entry.name)
        if entry.mode not in (FILE_MODE, EXECUTABLE_MODE, TREE_MODE):
            why = "only files and directories are allowed"
        if len(above) >= limits.max_depth or seen > limits.max_entries:
            why = "the tree is too deep or has too many files"
        if why is not None:
            raise HiveError(
                ErrorCode.UNSAFE_TREE,
                f"{filenames.show(entry.name)} in commit {commit} was refused because "
                f"{why}.",
            )
        path = [*above, entry.name.decode("utf-8")]
        yield path, entry
        if entry.mode == TREE_MODE:
            below = parse_tree(repo.odb.read(entry.sha)[1])
            todo.extend((path, child) for child in reversed(below))
