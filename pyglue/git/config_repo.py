"""Create an agent's ``config/`` repository, which the manager edits.

It is built in a directory that no agent can enter, handed over to its owner, and moved
into place by one rename; the host never opens it again. Everything goes through
descriptors, because the manager can change the directories around it.
"""

import os
from typing import Final

from pyglue.errors import ErrorCode, HiveError
from pyglue.files.directory import Folder, Owner
from pyglue.git.export import export_tree
from pyglue.git.repos import AppliedRepo
from pyglue.git.run import run_git
from pyglue.git.skeleton import write_repository

_STAGING: Final = ".staging-"
_MODE: Final = 0o750


def copy_config_repo(
    applied: AppliedRepo, home: Folder, name: str, *, owner: Owner | None
) -> str:
    """Make ``name`` in ``home`` a pristine repository of main of ``applied``.

    Returns the SHA of main. Owner and group change only if given.

    Raises:
        HiveError: ``conflict`` if the name is taken; ``not_found`` if there is no main.
    """
    main = applied.main()
    if main is None:
        raise HiveError(ErrorCode.NOT_FOUND, "The repository has no main branch yet.")
    if home.look(name) is not None:
        raise HiveError(
            ErrorCode.CONFLICT,
            f"{home.shown / name} already exists; repositories are never replaced.",
        )
    with home.new_folder(_STAGING) as staging:
        try:
            # The owner of ``home`` is outside every container's range of users, so
            # mode 0700 keeps agents out, even container root on an idmapped mount.
            above = home.status
            staging.give((above.st_uid, above.st_gid))
            with staging.folder("repo", make=_MODE) as tree:
                tree.set_mode(_MODE)
                export_tree(applied, main, staging.path / "repo")
                _write_history(applied, main, tree)
                _give(tree, owner)
            staging.move("repo", home, name)
        finally:
            home.remove(staging.shown.name)
    return main


def sweep_staging(home: Folder) -> None:
    """Remove leftovers of a crash beside a config repository; only at start."""
    for name in home.names():
        if name.startswith(_STAGING):
            home.remove(name)


def _write_history(applied: AppliedRepo, main: str, tree: Folder) -> None:
    """Write ``.git`` with main, its whole history and a matching index.

    git creates packs in the repository in which it runs and renames them from there,
    so it runs in the new one: in production, agents' directories are a separate mount.
    """
    work_tree = tree.path
    git_dir = work_tree / ".git"
    git_dir.mkdir()
    write_repository(git_dir, bare=False, alternate=applied.path / "objects")
    fds = (tree.fd,)
    packing = ["pack-objects", "--quiet", "--revs"]
    packing.append(str(git_dir / "objects" / "pack" / "pack"))
    run_git(packing, git_dir=git_dir, stdin=f"{main}\n".encode("ascii"), pass_fds=fds)
    (git_dir / "objects" / "info" / "alternates").unlink()
    run_git(["update-ref", "refs/heads/main", main], git_dir=git_dir, pass_fds=fds)
    run_git(["read-tree", main], git_dir=git_dir, work_tree=work_tree, pass_fds=fds)


def _give(tree: Folder, owner: Owner | None) -> None:
    """Change the owner of everything, without following links."""
    if owner is None:
        return
    for _, _, names, directory in os.fwalk(".", topdown=False, dir_fd=tree.fd):
        for name in names:
            os.chown(name, *owner, dir_fd=directory, follow_symlinks=False)
        os.fchown(directory, *owner)
