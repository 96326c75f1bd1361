"""The few files that make a directory a git repository, written by the host.

``git init`` copies templates and reads configuration; these repositories contain
exactly the files below. Used for quarantine, applied and agents' repositories.
"""

import os
from pathlib import Path
from typing import Final

_CONFIG: Final = (
    "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = {}\n"
)


def write_repository(
    git_dir: Path, *, bare: bool, alternate: Path | None = None
) -> None:
    """Write an empty repository into ``git_dir``, a new or empty directory.

    Everybody may read it, whatever the umask; the directories above decide who can.
    ``alternate`` is the ``objects`` directory of another host-owned repository.
    """
    for part in ("objects/info", "objects/pack", "refs/heads", "refs/tags"):
        (git_dir / part).mkdir(parents=True)
    if alternate is not None:
        listing = git_dir / "objects" / "info" / "alternates"
        listing.write_bytes(os.fsencode(alternate) + b"\n")
    (git_dir / "config").write_text(_CONFIG.format(str(bare).lower()))
    # HEAD last: without it, nothing recognises the directory as a repository.
    (git_dir / "HEAD").write_text("ref: refs/heads/main\n")
    for path in [git_dir, *git_dir.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def sync_directory(path: Path) -> None:
    """Make renames in ``path`` survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
