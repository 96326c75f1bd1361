"""``applied/<name>.git``: the host-owned history of an agent.

Only hived writes it, from one place at a time for each agent; agents have read-only
access at most. Refs are written by git itself (locked, synced to disk) and read
through libgit2. Everything in it has passed ``quarantine`` or was created by the
host, so libgit2 may open it in this process. Each call opens the repository anew, which
takes about 0.1 ms and leaves no handle to share between threads. Blocking.
"""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pygit2
from pygit2.enums import ConfigLevel, ObjectType, RepositoryOpenFlag

from pyglue.errors import ErrorCode, HiveError
from pyglue.git import filenames
from pyglue.git.objects import HEX_SHA, Commit, parse_commit
from pyglue.git.run import run_git
from pyglue.git.skeleton import sync_directory, write_object, write_repository
from pyglue.git.tags import (
    REF_PREFIX,
    Tag,
    TagKind,
    parse_name,
    tag_message,
    tag_name,
    tag_object,
)

_MAIN: Final = "refs/heads/main"
_NOTHING: Final = "0" * 40
_REPACK_AT: Final = 50
"""From this number of packs on, ``tidy`` combines them."""

# Keep libgit2 from reading the git configuration of the user and the system.
for _level in (
    ConfigLevel.GLOBAL,
    ConfigLevel.XDG,
    ConfigLevel.SYSTEM,
    ConfigLevel.PROGRAMDATA,
):
    pygit2.settings.search_path[_level] = ""


@dataclass(frozen=True)
class AppliedRepo:
    """One agent's applied repository at ``path``, which exists."""

    path: Path

    @classmethod
    def create(cls, path: Path) -> "AppliedRepo":
        """Return the repository at ``path``; create an empty one if there is none."""
        if not (path / "HEAD").is_file():
            staging = Path(tempfile.mkdtemp(prefix=".new-", dir=path.parent))
            write_repository(staging, bare=True)
            staging.rename(path)
            sync_directory(path.parent)
        return cls(path)

    @staticmethod
    def put_aside(path: Path) -> Path:
        """Move a repository, if it exists, to where it can be removed piecemeal."""
        aside = path.parent / f".new-gone-{path.name}"
        if path.exists():
            if aside.exists():
                shutil.rmtree(aside)
            path.rename(aside)
            sync_directory(path.parent)
        return aside

    @staticmethod
    def sweep(parent: Path) -> None:
        """Remove repositories that a crash left incomplete; only at start."""
        for left in parent.glob(".new-*"):
            shutil.rmtree(left)

    @property
    def objects(self) -> Path:
        """Return the directory of its object database, as an absolute path."""
        return self.path.absolute() / "objects"

    def main(self) -> str | None:
        """Return the deployed commit; None before the first one."""
        with self.open() as repo:
            ref = repo.references.get(_MAIN)
            return None if ref is None else str(ref.target)

    def commit(self, sha: str) -> Commit:
        """Return the tree, parents, author and message of a commit.

        Raises:
            HiveError: ``not_found`` if there is no such commit here.
        """
        with self.open() as repo:
            return parse_commit(read_commit(repo, sha))

    def advance_main(self, new: str, expected_old: str | None) -> None:
        """Move main from ``expected_old`` to ``new``, forward only.

        Repeating it is harmless.

        Raises:
            HiveError: ``conflict`` (details ``main``), ``not_based_on_main``,
                ``not_found``.
        """
        with self.open() as repo:
            read_commit(repo, new)
            current = self.main()
            if current == new:
                return
            if current != expected_old:
                raise self._moved(current)
            if current is not None and not repo.descendant_of(new, current):
                raise HiveError(
                    ErrorCode.NOT_BASED_ON_MAIN,
                    f"Commit {new} does not descend from main ({current}); main can "
                    "only move forward.",
                    details={"main": current},
                )
        if not self._set_ref(_MAIN, new, expected_old):
            raise self._moved(self.main())

    def tag(
        self, kind: TagKind, number: int, commit: str, message: bytes | None = None
    ) -> None:
        """Tag ``commit`` as ``<kind>/<number>``; annotated if there is a message.

        The message is kept byte for byte. Repeating it is harmless.

        Raises:
            HiveError: ``conflict`` if the tag exists with another commit or message;
                ``not_found`` if there is no such commit.
        """
        name = tag_name(kind, number)
        with self.open() as repo:
            read_commit(repo, commit)
        if self._same_tag(name, commit, message):
            return
        target = commit
        if message is not None:
            raw = tag_object(name, commit, message, time=int(time.time()))
            target = write_object(self.objects, "tag", raw)
        if self._set_ref(REF_PREFIX + name, target, None):
            return
        if not self._same_tag(name, commit, message):
            raise self._other_tag(name)

    def read_tag_message(self, kind: TagKind, number: int) -> bytes | None:
        """Return the message of an annotated tag; None for a plain tag.

        Raises:
            HiveError: ``not_found`` if there is no such tag.
        """
        name = tag_name(kind, number)
        found = self._find_tag(name)
        if found is None:
            raise HiveError(ErrorCode.NOT_FOUND, f"There is no tag {name}.")
        return found[1]

    def has_tag(self, kind: TagKind, number: int) -> bool:
        """Return whether the tag exists."""
        return self._find_tag(tag_name(kind, number)) is not None

    def tags(self) -> tuple[Tag, ...]:
        """Return all of the host's tags, by kind and ID."""
        found = []
        with self.open() as repo:
            for ref in repo.references.iterator():
                parsed = parse_name(ref.name.removeprefix(REF_PREFIX))
                if not ref.name.startswith(REF_PREFIX) or parsed is None:
                    continue
                tagged = repo[ref.target]
                commit = str(tagged.peel(pygit2.Commit).id)
                annotated = isinstance(tagged, pygit2.Tag)
                kind, number = parsed
                tag = Tag(kind=kind, id=number, commit=commit, annotated=annotated)
                found.append(tag)
        return tuple(sorted(found, key=lambda tag: (tag.kind, tag.id)))

    def tidy(self) -> None:
        """Remove leftovers of a crash and combine packs; only at start.

        Locks are removed, so nothing else may use the repository at the time.
        """
        for lock in [*self.path.glob("*.lock"), *self.path.glob("refs/**/*.lock")]:
            lock.unlink()
        packs = self.objects / "pack"
        for left in packs.glob("tmp_*"):
            left.unlink()
        for pack in packs.glob("*.pack"):
            if not pack.with_suffix(".idx").exists():
                pack.unlink()
        self.git(["pack-refs", "--all"])
        if len(list(packs.glob("*.pack"))) > _REPACK_AT:
            self.git(["repack", "-a", "-d", "-q"])

    def drop_unreachable(self) -> None:
        """Remove unreachable objects.

        The repository must not contain objects that are about to get a ref.
        """
        self.git(["repack", "-a", "-d", "-q"])
        self.git(["prune", "--expire=now"])

    def git(
        self,
        args: list[str],
        *,
        stdin: bytes | None = None,
        extra_env: Mapping[str, str] | None = None,
    ) -> str:
        """Run git on it and return what it prints; for this package's modules only."""
        ran = run_git(args, git_dir=self.path, stdin=stdin, extra_env=extra_env)
        return ran.output.decode("ascii").strip()

    @contextlib.contextmanager
    def open(self) -> Iterator[pygit2.Repository]:
        """Open it for reading through libgit2; only for the modules of this package."""
        flags = RepositoryOpenFlag.NO_SEARCH | RepositoryOpenFlag.BARE
        repo = pygit2.Repository(str(self.path), flags)
        try:
            yield repo
        finally:
            repo.free()

    def _set_ref(self, ref: str, new: str, old: str | None) -> bool:
        """Compare and swap; False if the ref is not ``old``, or is locked."""
        ran = run_git(
            ["update-ref", "--no-deref", ref, new, old or _NOTHING],
            git_dir=self.path,
            check=False,
        )
        if ran.code == 0:
            sync_directory((self.path / ref).parent)
        return ran.code == 0

    def _find_tag(self, name: str) -> tuple[str, bytes | None] | None:
        with self.open() as repo:
            ref = repo.references.get(REF_PREFIX + name)
            if ref is None:
                return None
            kind, raw = repo.odb.read(ref.target)
            message = tag_message(raw) if kind == ObjectType.TAG else None
            return str(ref.peel(pygit2.Commit).id), message

    def _same_tag(self, name: str, commit: str, message: bytes | None) -> bool:
        """Return whether exactly this tag exists.

        Raises:
            HiveError: ``conflict`` if it differs.
        """
        found = self._find_tag(name)
        if found is None:
            return False
        if found != (commit, message):
            raise self._other_tag(name)
        return True

    def _other_tag(self, name: str) -> HiveError:
        return HiveError(
            ErrorCode.CONFLICT,
            f"Tag {name} already exists with another commit or record, or is locked.",
        )

    def _moved(self, current: str | None) -> HiveError:
        return HiveError(
            ErrorCode.CONFLICT,
            f"main is now {current or 'not set'}, which is not as expected, or it is "
            "locked. Review it again.",
            details={"main": current},
        )


def read_commit(repo: pygit2.Repository, sha: str) -> bytes:
    """Return the bytes of a commit object in a host-owned repository.

    Raises:
        HiveError: ``not_found`` if ``sha`` is not a commit.
    """
    if HEX_SHA.fullmatch(sha) and sha in repo.odb:
        kind, raw = repo.odb.read(sha)
        if kind == ObjectType.COMMIT:
            return bytes(raw)
    raise HiveError(
        ErrorCode.NOT_FOUND,
        f"There is no commit {filenames.show(sha, limit=60)} in the applied "
        "repository.",
    )
