"""The size and problems of a whole tree; each distinct directory is read once.

Used only by the checking child. The result for a directory is remembered by its SHA
and added up, never expanded: a "tree bomb" (ten levels with ten entries of the same
tree) takes ten reads and then exceeds the limit on entries by arithmetic. Sizes come
from object headers; the contents of files are never read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import pygit2
from pygit2.enums import ObjectType

from pyglue.errors import ErrorCode, HiveError
from pyglue.git import filenames
from pyglue.git.objects import (
    EXECUTABLE_MODE,
    FILE_MODE,
    GITLINK_MODE,
    LINK_MODE,
    TREE_MODE,
    Entry,
    MalformedObject,
    parse_tree,
)
from pyglue.git.verdict import MIB, PackLimits

_ENTRY_BYTES: Final = 7 + filenames.MAX_COMPONENT + 1 + 20
"""Longest valid entry of a tree object: mode, space, name, zero byte, SHA."""

_BAD_KINDS: Final = {
    LINK_MODE: "symbolic links are not allowed (use a regular file)",
    GITLINK_MODE: "submodules are not allowed (add the files themselves)",
}
_FLAKE: Final = (
    "agents' repositories have agent.nix and no flake.nix: the hive has a single "
    "flake for all agents"
)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The sums of a directory; with ``depth`` 1 it has no subdirectories.

    ``problem`` is the first path below it that is not allowed in a submitted tree,
    with the reason; ``longest`` is the longest path below it in bytes.
    """

    files: int
    entries: int
    total: int
    depth: int
    longest: int
    problem: tuple[bytes, str] | None


def squash_hint(main: str | None) -> str:
    """Return the sentence that explains how to leave history out."""
    if main is None:
        return " Make a single commit with the intended files, and submit that."
    return (
        f" Make a single commit of your change (git reset --soft {main}, then git "
        "commit), and submit that."
    )


@dataclass(kw_only=True)
class ShapeReader:
    """Reads the trees of one submission; ``new`` are the objects missing in applied."""

    odb: pygit2.Odb
    applied: pygit2.Odb
    limits: PackLimits
    main: str | None
    new: list[str] = field(default_factory=list)
    _parsed: dict[str, tuple[Entry, ...]] = field(default_factory=dict)
    _shapes: dict[str, Shape] = field(default_factory=dict)
    _sizes: dict[str, int] = field(default_factory=dict)
    _new_bytes: int = 0
    _earlier: str | None = None

    def read(self, tree: str, *, earlier: str | None = None) -> Shape:
        """Return the shape of ``tree``; ``earlier`` is its commit unless it is the tip.

        Raises:
            HiveError: ``too_large``; ``invalid_pack`` for a missing object or one of
                another kind than listed; ``unsafe_tree`` for a malformed directory.
        """
        self._earlier = earlier
        stack = [(tree, b"", 1)]
        while stack:
            sha, path, level = stack[-1]
            entries = () if sha in self._shapes else self._entries(sha, path)
            below = {
                entry.sha: path + entry.name + b"/"
                for entry in entries
                if entry.mode == TREE_MODE and entry.sha not in self._shapes
            }
            if below:
                if level >= self.limits.max_depth:
                    raise self._too_deep(path)
                stack.extend((sub, where, level + 1) for sub, where in below.items())
                continue
            stack.pop()
            if sha not in self._shapes:
                self._shapes[sha] = self._sum(path, entries)
                self._parsed.pop(sha)
        return self._shapes[tree]

    def has_file(self, tree: str, name: bytes) -> bool:
        """Return whether a tree that was read contains a regular file ``name``."""
        return any(
            entry.name == name and entry.mode in (FILE_MODE, EXECUTABLE_MODE)
            for entry in parse_tree(self.odb.read(tree)[1])
        )

    def _sum(self, path: bytes, entries: Sequence[Entry]) -> Shape:
        limits = self.limits
        files = count = total = depth = longest = 0
        problem: tuple[bytes, str] | None = None
        for entry in entries:
            count += 1
            below = b""
            found = _fault(entry)
            if entry.mode == TREE_MODE:
                shape = self._shapes[entry.sha]
                files += shape.files
                count += shape.entries
                total += shape.total
                depth = max(depth, shape.depth)
                length = len(entry.name) + 1 + shape.longest
                if found is None and shape.problem is not None:
                    below, found = b"/" + shape.problem[0], shape.problem[1]
            else:
                files += 1
                total += self._file_size(entry, path)
                length = len(entry.name)
            longest = max(longest, length)
            if problem is None and found is not None:
                problem = (entry.name + below, found)
            if count > limits.max_entries:
                raise self._refuse(path, f"has more than {limits.max_entries} entries")
            if total > limits.max_total_bytes:
                size = limits.max_total_bytes // MIB
                raise self._refuse(path, f"has more than {size} MiB in total")
        if depth + 1 > limits.max_depth:
            raise self._too_deep(path)
        if longest > limits.max_path_bytes:
            raise self._refuse(
                path, f"has a path longer than {limits.max_path_bytes} bytes"
            )
        return Shape(
            files=files,
            entries=count,
            total=total,
            depth=depth + 1,
            longest=longest,
            problem=problem,
        )

    def _entries(self, sha: str, path: bytes) -> tuple[Entry, ...]:
        known = self._parsed.get(sha)
        if known is not None:
            return known
        self._header(sha, ObjectType.TREE, path)
        try:
            entries = parse_tree(self.odb.read(sha)[1])
        except MalformedObject as why:
            raise HiveError(
                ErrorCode.UNSAFE_TREE,
                f"{_place(path)} was refused because {why}. Commit with regular git.",
            ) from None
        self._parsed[sha] = entries
        return entries

    def _file_size(self, entry: Entry, path: bytes) -> int:
        if entry.mode == GITLINK_MODE:
            return 0
        known = self._sizes.get(entry.sha)
        if known is None:
            where = path + entry.name
            known = self._header(entry.sha, ObjectType.BLOB, where)
            self._sizes[entry.sha] = known
        return known

    def _header(self, sha: str, wanted: ObjectType, path: bytes) -> int:
        if sha not in self.odb:
            raise HiveError(
                ErrorCode.INVALID_PACK,
                f"The pack is missing object {sha} ({_place(path)}). Pack everything "
                "reachable from the commit but not from main (git pack-objects "
                "--revs, without --thin), and submit again.",
            )
        kind, size = self.odb.read_header(sha)
        if kind != wanted:
            raise HiveError(
                ErrorCode.INVALID_PACK,
                f"{_place(path)} has a different object type than its directory says. "
                "Commit with regular git.",
            )
        limits = self.limits
        if wanted == ObjectType.BLOB and size > limits.max_blob_bytes:
            limit = limits.max_blob_bytes // 1024
            raise self._refuse(path, f"is larger than {limit} KiB")
        if wanted == ObjectType.TREE and size > limits.max_entries * _ENTRY_BYTES:
            raise self._refuse(path, f"has more than {limits.max_entries} entries")
        if sha not in self.applied:
            self.new.append(sha)
            self._new_bytes += size
            if len(self.new) > limits.max_objects:
                raise self._refuse(b"", "changes too many entries")
            if self._new_bytes > limits.max_new_bytes:
                raise self._refuse(b"", "adds too many bytes since main")
        return size

    def _too_deep(self, path: bytes) -> HiveError:
        return self._refuse(
            path, f"is nested more than {self.limits.max_depth} directories deep"
        )

    def _refuse(self, path: bytes, what: str) -> HiveError:
        """Refuse an exceeded limit; name the place, and an earlier commit."""
        if self._earlier is None:
            where, hint = "", " Make it smaller and commit again."
        else:
            where, hint = f" in commit {self._earlier}", squash_hint(self.main)
        return HiveError(
            ErrorCode.TOO_LARGE,
            f"{_place(path)}{where} {what}.{hint}",
            details={"path": filenames.show(path)},
        )


def _fault(entry: Entry) -> str | None:
    """Return why this entry is not allowed in a submitted tree, or None."""
    if entry.mode not in (FILE_MODE, EXECUTABLE_MODE, TREE_MODE):
        return _BAD_KINDS.get(
            entry.mode, "only files with mode 644 or 755 and directories are allowed"
        )
    if entry.name == b"flake.nix":
        return _FLAKE
    return filenames.problem(entry.name)


def _place(path: bytes) -> str:
    return filenames.show(path) if path else "The repository"
