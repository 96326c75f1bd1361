"""Put a file in place at once or not at all. Used by the backends."""

import contextlib
import os
from pathlib import Path


def write_file(path: Path, data: bytes, *, mode: int = 0o644) -> bool:
    """Make ``data`` the content of ``path``; tell whether it changed.

    The directory is the host's own. What is there already is not written again.

    Raises:
        OSError: it could not be written; what was there is untouched.
    """
    with contextlib.suppress(OSError):
        if path.read_bytes() == data:
            path.chmod(mode)
            return False
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(fresh, flags, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.chmod(mode)
        fresh.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error
    return True
