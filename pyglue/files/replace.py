"""Writes files atomically: others see the old content or the new, whole."""

import contextlib
import os
from pathlib import Path


def write_file(path: Path, data: bytes, *, mode: int = 0o644) -> bool:
    """Make ``data`` the content of ``path``; return whether it changed.

    Only the host may have access to the directory. Unchanged files are not written.

    Raises:
        OSError: it could not be written; the old file is unchanged.
    """
    with contextlib.suppress(OSError):
        if path.read_bytes() == data:
            path.chmod(mode)
            return False
    replace_file(path, data, mode=mode, synced=True)
    return True


def replace_file(
    path: Path, data: bytes, *, mode: int = 0o600, synced: bool = False
) -> None:
    """Replace ``path``, unread; ``synced`` puts it on the disk first.

    Raises:
        OSError: it could not be written; the old file is unchanged.
    """
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(fresh, flags, mode), "wb") as file:
            os.fchmod(file.fileno(), mode)  # whatever the umask
            file.write(data)
            if synced:
                file.flush()
                os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error
