"""Make an agent's ``config/`` repository, the one that the manager edits.

It is built whole in a directory that no agent can enter, given away, and moved into
place by one rename; the host never opens it again. Its first commit is made in the
applied repository and copied from there, so both hold the same object.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pyglue.errors import ErrorCode, HiveError
from pyglue.git.export import export_tree
from pyglue.git.repos import AppliedRepo
from pyglue.git.run import run_git
from pyglue.git.skeleton import write_repository


def create_config_repo(
    dest: Path,
    files: Mapping[str, bytes],
    *,
    message: str,
    applied: AppliedRepo,
    uid: int | None,
    gid: int | None,
    at: int | None = None,
) -> str:
    """Make main of ``applied`` from ``files`` and ``dest`` a working copy of it.

    ``at`` is the commit's time in seconds since the epoch (default now). Returns the
    SHA of main. Owner and group change only where they are given.

    Raises:
        HiveError: ``conflict`` if ``dest`` exists; ``unsafe_tree`` for a bad path.
    """
    applied.seed_main(files, message=message, at=at)
    return copy_config_repo(applied, dest, uid=uid, gid=gid)


def copy_config_repo(
    applied: AppliedRepo, dest: Path, *, uid: int | None, gid: int | None
) -> str:
    """Make ``dest`` a pristine repository with main of ``applied`` checked out.

    Returns the SHA of main. The rename needs ``dest.parent`` on one mount; nothing
    below it is followed or opened.

    Raises:
        HiveError: ``conflict`` if ``dest`` exists; ``not_found`` without a main.
    """
    main = applied.main()
    if main is None:
        raise HiveError(ErrorCode.NOT_FOUND, "There is no main to copy yet.")
    if os.path.lexists(dest):
        raise HiveError(
            ErrorCode.CONFLICT,
            f"{dest.name} exists already; a repository is never replaced.",
        )
    room = Path(tempfile.mkdtemp(prefix=".staging-", dir=dest.parent))
    try:
        # The owner of dest.parent is outside every container's range of users, so
        # mode 0700 keeps agents out, even container root on an idmapped mount.
        parent = dest.parent.stat()
        if (parent.st_uid, parent.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(room, parent.st_uid, parent.st_gid)
        tree = room / "repo"
        tree.mkdir()
        tree.chmod(0o755)
        export_tree(applied, main, tree)
        _write_history(applied, main, tree)
        _give(tree, uid, gid)
        tree.rename(dest)
    finally:
        shutil.rmtree(room)
    return main


def sweep_staging(parent: Path) -> None:
    """Remove what a crash left beside a config repository; at start only."""
    for left in parent.glob(".staging-*"):
        shutil.rmtree(left)


def _write_history(applied: AppliedRepo, main: str, tree: Path) -> None:
    """Write ``tree/.git`` with main, its whole history and a matching index.

    git packs in the repository that it runs in and renames from there, so it runs in
    the new one: agents' directories are a mount of their own in production.
    """
    git_dir = tree / ".git"
    git_dir.mkdir()
    write_repository(git_dir, bare=False, alternate=applied.path / "objects")
    packing = ["pack-objects", "--quiet", "--revs"]
    packing.append(str(git_dir / "objects" / "pack" / "pack"))
    run_git(packing, git_dir=git_dir, stdin=f"{main}\n".encode("ascii"))
    (git_dir / "objects" / "info" / "alternates").unlink()
    run_git(["update-ref", "refs/heads/main", main], git_dir=git_dir)
    run_git(["read-tree", main], git_dir=git_dir, work_tree=tree)


def _give(tree: Path, uid: int | None, gid: int | None) -> None:
    """Change the owner of everything, without following a link."""
    if uid is None and gid is None:
        return
    owner = (-1 if uid is None else uid, -1 if gid is None else gid)
    for directory, _, names in os.walk(tree, topdown=False):
        for name in names:
            os.chown(Path(directory, name), *owner, follow_symlinks=False)
        os.chown(directory, *owner, follow_symlinks=False)
