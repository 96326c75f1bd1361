"""The few files that make a directory a git repository, and single objects.

``git init`` copies templates and reads configuration; these repositories contain
exactly the files below. Used for quarantine, applied and agents' repositories. A tag
is one small file, too: starting git for it would take longer than everything else.
"""

import contextlib
import hashlib
import os
import tempfile
import zlib
from pathlib import Path
from typing import Final

from pyglue.errors import ErrorCode, HiveError
from pyglue.files.disk_space import FULL

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
        write_alternate(git_dir, alternate)
    (git_dir / "config").write_text(_CONFIG.format(str(bare).lower()))
    # HEAD last: without it, nothing recognises the directory as a repository.
    (git_dir / "HEAD").write_text("ref: refs/heads/main\n")
    for path in [git_dir, *git_dir.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def write_alternate(git_dir: Path, alternate: Path) -> None:
    """Make another ``objects`` directory known to a repository of the host."""
    listing = git_dir / "objects" / "info" / "alternates"
    listing.write_bytes(os.fsencode(alternate) + b"\n")
    listing.chmod(0o644)


def write_object(objects: Path, kind: str, raw: bytes) -> str:
    """Write an object as a file of its own, synced; return its SHA.

    Idempotent. ``git prune`` removes what a crash leaves behind.

    Raises:
        HiveError: ``disk_full``, ``unavailable`` if it cannot be written.
    """
    try:
        return _write_object(objects, kind, raw)
    except OSError as error:
        code = ErrorCode.DISK_FULL if error.errno in FULL else ErrorCode.UNAVAILABLE
        raise HiveError(
            code, f"Cannot write an object of {objects.parent.name}: {error.strerror}."
        ) from error


def _write_object(objects: Path, kind: str, raw: bytes) -> str:
    data = f"{kind} {len(raw)}\0".encode("ascii") + raw
    sha = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    directory = objects / sha[:2]
    target = directory / sha[2:]
    if target.exists():
        return sha
    with contextlib.suppress(FileExistsError):
        directory.mkdir()
        directory.chmod(0o755)  # whatever the umask
        sync_directory(objects)
    with tempfile.NamedTemporaryFile(
        dir=directory, prefix="tmp_obj_", delete=False
    ) as writer:
        try:
            writer.write(zlib.compress(data))
            writer.flush()
            os.fchmod(writer.fileno(), 0o444)
            os.fsync(writer.fileno())
            Path(writer.name).rename(target)
        except BaseException:
            Path(writer.name).unlink(missing_ok=True)
            raise
    sync_directory(directory)
    return sha


def sync_directory(path: Path) -> None:
    """Make renames in ``path`` survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
