"""The lines of a file in a checked commit, numbered as in a diff."""

import pygit2
from pygit2.enums import FileMode

from pyglue.git.objects import parse_commit
from pyglue.git.repos import AppliedRepo, read_commit


def lines_of(applied: AppliedRepo, commit: str, path: str) -> tuple[str, ...] | None:
    """Return the lines of ``path``; None if there is no such file.

    Only a newline ends a line. Text keeps every character: readers escape it.

    Raises:
        HiveError: ``not_found`` if the commit is not in the applied repository.
    """
    text = text_of(applied, commit, path)
    if text is None:
        return None
    lines = text.split("\n")
    return tuple(lines[:-1] if lines[-1] == "" else lines)


def text_of(applied: AppliedRepo, commit: str, path: str) -> str | None:
    """Return the content of ``path``, as ``lines_of`` does its lines."""
    with applied.open() as repo:
        tree = repo[parse_commit(read_commit(repo, commit)).tree].peel(pygit2.Tree)
        try:
            found = tree[path]
        except (KeyError, ValueError):
            return None
        if found.filemode not in (FileMode.BLOB, FileMode.BLOB_EXECUTABLE):
            return None
        return bytes(repo.odb.read(found.id)[1]).decode("utf-8", "replace")
