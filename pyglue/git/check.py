"""The child process that checks a quarantined commit: ``python -m pyglue.git.check``.

Started by ``quarantine`` under limits of memory, CPU time and wall time; reads one
``Job`` from standard input and prints one ``Passed`` or ``Refused``. It reads raw
objects through libgit2's object database (sizes by header first) and walks them with
explicit stacks and budgets, so that no depth, fan-out or count in a pack can make it
run for long. If libgit2 crashes, it takes only this process with it.

The rules on names and kinds of files apply to the submitted tree only. Earlier new
commits only have to be complete and within all size limits, so a mistake that was
committed and later removed does not force the manager to rewrite history.
"""

import os
import sys
from collections import deque
from pathlib import Path
from typing import Final, NoReturn

import msgspec
import pygit2
from pygit2.enums import ObjectType

from pyglue import strict_json
from pyglue.errors import ErrorCode, HiveError
from pyglue.git import unpack
from pyglue.git.filenames import show
from pyglue.git.objects import Commit, MalformedObject, parse_commit
from pyglue.git.shape import Shape, ShapeReader, squash_hint
from pyglue.git.verdict import Job, Passed, Refused, limits_of

_HEADER_SLACK: Final = 64 * 1024
"""Room for a commit's header (parents, signature) beside its message, in bytes."""

_KINDS: Final = {
    ObjectType.TREE: "a directory (tree)",
    ObjectType.BLOB: "a file (blob)",
    ObjectType.TAG: "an annotated tag",
}


class Checker:
    """Judges one commit against the rules of a ``Job``."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._limits = job.limits
        self._odb = pygit2.Odb(job.objects)
        self._applied = pygit2.Odb(job.applied_objects)
        self._commits: dict[str, Commit] = {}
        self._shapes = ShapeReader(
            odb=self._odb, applied=self._applied, limits=job.limits, main=job.main
        )

    def check(self) -> Passed:
        """Return the verdict on a good commit.

        Raises:
            HiveError: the refusal, with the sentence for the commit's author.
        """
        job = self._job
        tip = self._tip()
        if job.commit == job.main and not job.allow_unchanged:
            raise self._no_change()
        fresh = self._history()
        shape = self._tree_of(job.commit, tip)
        if not job.allow_unchanged and self._same_as_main(tip):
            raise self._no_change()
        for sha in fresh:
            if sha != job.commit:
                self._tree_of(sha, self._commit(sha))
        self._judge(tip.tree, shape)
        new = [*fresh, *self._shapes.new]
        return Passed(
            tree=tip.tree,
            author_name=tip.author.name,
            author_email=tip.author.email,
            author_time=tip.author.time,
            message=tip.message,
            files=shape.files,
            total_bytes=shape.total,
            new=tuple(new),
        )

    def _tip(self) -> Commit:
        sha = self._job.commit
        if sha not in self._odb:
            raise HiveError(
                ErrorCode.INVALID_COMMIT,
                f"Commit {sha} is neither in the pack nor known to the hive. Commit "
                "your change in the agent's config repository, then submit the full "
                "SHA that `git rev-parse HEAD` prints.",
            )
        kind, _ = self._odb.read_header(sha)
        if kind != ObjectType.COMMIT:
            raise HiveError(
                ErrorCode.INVALID_COMMIT,
                f"{sha} names {_KINDS.get(kind, 'something else')}, not a commit. "
                "Submit the SHA that `git rev-parse HEAD` prints.",
            )
        return self._commit(sha)

    def _commit(self, sha: str) -> Commit:
        known = self._commits.get(sha)
        if known is not None:
            return known
        if sha not in self._odb:
            raise _missing("commit", sha)
        kind, size = self._odb.read_header(sha)
        if kind != ObjectType.COMMIT:
            raise HiveError(
                ErrorCode.INVALID_COMMIT,
                f"{sha} is listed as a parent but is not a commit.",
            )
        if size > self._limits.max_message_bytes + _HEADER_SLACK:
            raise self._message_too_long(sha)
        try:
            commit = parse_commit(self._odb.read(sha)[1])
        except MalformedObject as why:
            raise HiveError(
                ErrorCode.INVALID_COMMIT,
                f"Commit {sha} was refused because {why}. Commit the change again.",
            ) from None
        if len(commit.message.encode()) > self._limits.max_message_bytes:
            raise self._message_too_long(sha)
        if len(commit.parents) > self._limits.max_parents:
            raise HiveError(
                ErrorCode.TOO_LARGE,
                f"Commit {sha} has {len(commit.parents)} parents; at most "
                f"{self._limits.max_parents} are accepted. Commit without that merge.",
            )
        self._commits[sha] = commit
        return commit

    def _history(self) -> list[str]:
        """Return the commits missing from applied, newest first, down to main."""
        main, limit = self._job.main, self._limits.max_commits
        queue, seen = deque([self._job.commit]), {self._job.commit}
        fresh: list[str] = []
        walked = 0
        merged: frozenset[str] | None = None
        while queue:
            sha = queue.popleft()
            if sha == main:
                continue
            if sha not in self._applied:
                fresh.append(sha)
            elif main is not None:
                merged = self._ancestors(main) if merged is None else merged
                if sha in merged:
                    continue
            walked += 1
            if walked > limit:
                raise self._too_much_history()
            for parent in self._commit(sha).parents:
                if parent not in seen:
                    seen.add(parent)
                    queue.append(parent)
        if main is not None and main not in seen:
            raise HiveError(
                ErrorCode.NOT_BASED_ON_MAIN,
                f"Commit {self._job.commit} does not descend from main, which is "
                f"{main}. Rebase your change onto {main} and submit the new commit.",
                details={"main": main},
            )
        return fresh

    def _ancestors(self, main: str) -> frozenset[str]:
        """Return main's whole history, all of which has been checked before."""
        queue, seen = deque([main]), {main}
        while queue:
            for parent in parse_commit(self._applied.read(queue.popleft())[1]).parents:
                if parent not in seen:
                    seen.add(parent)
                    queue.append(parent)
        return frozenset(seen)

    def _same_as_main(self, tip: Commit) -> bool:
        main = self._job.main
        return main is not None and self._commit(main).tree == tip.tree

    def _tree_of(self, sha: str, commit: Commit) -> Shape:
        earlier = None if sha == self._job.commit else sha
        return self._shapes.read(commit.tree, earlier=earlier)

    def _judge(self, tree: str, shape: Shape) -> None:
        if shape.problem is not None:
            path, reason = shape.problem
            raise HiveError(
                ErrorCode.UNSAFE_TREE,
                f"{show(path)} was refused because {reason}. Remove or rename it and "
                "commit again.",
                details={"path": show(path)},
            )
        if not self._shapes.has_file(tree, b"agent.nix"):
            raise HiveError(
                ErrorCode.UNSAFE_TREE,
                "The top directory of the repository has no agent.nix. Add it and "
                "commit again.",
                details={"path": "'agent.nix'"},
            )

    def _message_too_long(self, sha: str) -> HiveError:
        return HiveError(
            ErrorCode.TOO_LARGE,
            f"The message of commit {sha} is too long; the limit is "
            f"{self._limits.max_message_bytes} bytes. Amend it.",
        )

    def _too_much_history(self) -> HiveError:
        main = self._job.main
        return HiveError(
            ErrorCode.TOO_LARGE,
            f"There are more than {self._limits.max_commits} commits between main and "
            f"{self._job.commit}.{squash_hint(main)}",
            details={} if main is None else {"main": main},
        )

    def _no_change(self) -> HiveError:
        return HiveError(
            ErrorCode.NO_CHANGE,
            f"Commit {self._job.commit} has the same files as main "
            f"({self._job.main}), so there is nothing to approve. Commit a change "
            "first.",
        )


def _missing(kind: str, sha: str) -> HiveError:
    return HiveError(
        ErrorCode.INVALID_PACK,
        f"The pack is missing {kind} {sha}. Pack everything reachable from the commit "
        "but not from main (git pack-objects --revs, without --thin), and submit "
        "again.",
    )


def judge(job: Job) -> Passed | Refused:
    """Check ``job``; a refusal is a result, not an exception."""
    try:
        return _checked(job)
    except HiveError as error:
        return Refused(error.code, error.message, error.details)


def _checked(job: Job) -> Passed:
    """Check; with ``unpacking``, unpack a pack first and write a new one afterwards."""
    what = job.unpacking
    if what is None:
        return Checker(job).check()
    directory = Path(what.directory)
    with unpack.Repack(directory / "repo.git", directory) as pack:
        unpack.index(Path(what.pack), directory / "repo.git", job.limits)
        passed = Checker(job).check()
        if passed.new:
            pack.write(passed.new, job.limits)
    return passed


def main() -> NoReturn:
    """Answer the one job on standard input, then exit."""
    job = strict_json.read(sys.stdin.buffer.read(), Job, what="job")
    # The sandbox is between this process and hived.
    limits_of(job.limits).apply(os.getpid())
    sys.stdout.buffer.write(msgspec.json.encode(judge(job)) + b"\n")
    sys.stdout.flush()
    # Shutting down an interpreter takes five times as long as a small check.
    os._exit(0)


if __name__ == "__main__":
    main()
