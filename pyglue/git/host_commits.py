"""Commits that the host itself makes in an applied repository. Blocking.

A new agent's first commit, the files of an agent that the configuration declares, and
a rollback. No other commit is made on the host.
"""

import time
from collections.abc import Mapping
from typing import Final

from pyglue.errors import ErrorCode, HiveError
from pyglue.git.repos import AppliedRepo
from pyglue.git.run import run_git
from pyglue.git.seed import seed_stream
from pyglue.git.skeleton import sync_directory
from pyglue.git.tags import AUTHOR_EMAIL, AUTHOR_NAME

_DECLARED: Final = "refs/hive/declared"


def commit_tree_of(
    repo: AppliedRepo, commit: str, *, parent: str, message: str, at: int | None = None
) -> str:
    """Create a host commit on ``parent`` with the files of ``commit``.

    This is a manual rollback. ``at`` (seconds since the epoch, default now) makes the
    SHA reproducible. Returns the new SHA; no ref moves.

    Raises:
        HiveError: ``not_found`` if one of the commits does not exist.
    """
    tree = repo.commit(commit).tree
    repo.commit(parent)
    when = f"{int(time.time()) if at is None else at} +0000"
    return repo.git(
        ["commit-tree", tree, "-p", parent],
        stdin=message.encode("utf-8"),
        extra_env={
            "GIT_AUTHOR_NAME": AUTHOR_NAME,
            "GIT_AUTHOR_EMAIL": AUTHOR_EMAIL,
            "GIT_AUTHOR_DATE": when,
            "GIT_COMMITTER_NAME": AUTHOR_NAME,
            "GIT_COMMITTER_EMAIL": AUTHOR_EMAIL,
            "GIT_COMMITTER_DATE": when,
        },
    )


def seed_main(
    repo: AppliedRepo,
    files: Mapping[str, bytes],
    *,
    message: str,
    at: int | None = None,
) -> str:
    """Create the first commit of main from ``files`` (path → bytes, mode 644).

    If main already exists, it is returned, so repeating the step is harmless.

    Raises:
        HiveError: ``unsafe_tree`` for a path that the rules refuse.
    """
    current = repo.main()
    if current is not None:
        return current
    stream = seed_stream(files, message, int(time.time()) if at is None else at)
    run_git(["fast-import", "--quiet", "--done"], git_dir=repo.path, stdin=stream)
    sync_directory(repo.path / "refs" / "heads")
    seeded = repo.main()
    if seeded is None:
        raise HiveError(ErrorCode.INTERNAL, "git did not create a first commit.")
    return seeded


def commit_files(
    repo: AppliedRepo,
    files: Mapping[str, bytes],
    *,
    message: str,
    at: int | None = None,
) -> str | None:
    """Create a host commit on main that contains only ``files``.

    main does not move. Returns the new SHA; None if main has these files.

    Raises:
        HiveError: ``not_found`` if there is no main; ``unsafe_tree``.
    """
    main = repo.main()
    if main is None:
        raise HiveError(ErrorCode.NOT_FOUND, "The repository has no main branch yet.")
    when = int(time.time()) if at is None else at
    stream = seed_stream(files, message, when, ref=_DECLARED, parent=main)
    run_git(
        ["fast-import", "--quiet", "--done", "--force"],
        git_dir=repo.path,
        stdin=stream,
    )
    made = repo.git(["rev-parse", "--verify", _DECLARED])
    same = repo.commit(made).tree == repo.commit(main).tree
    return None if same else made
