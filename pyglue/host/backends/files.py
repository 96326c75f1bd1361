"""Put a file in place at once or not at all. Used by the backends."""

import os
from pathlib import Path


def write_file(path: Path, data: bytes, *, mode: int = 0o644) -> bool:
    """Make ``data`` the content of ``path``; tell whether it changed.

    The directory is the host's own. What is there already is not written again.
    """
    try:
        if path.read_bytes() == data:
            path.chmod(mode)
            return False
    except OSError:
        pass
    fresh = path.with_name(f".{path.name}.new")
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.chmod(mode)
    fresh.replace(path)
    return True
