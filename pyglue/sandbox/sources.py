"""Open what is bound into a sandbox, so that no link leads it elsewhere.

Used by ``spec``. A source with ``below`` lies where an agent can write: from there on
every component is opened by itself and links are refused, so an agent cannot put a
link to the host in the place of its own directory, neither before nor during this.
"""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from pyglue.errors import ErrorCode, HiveError


def open_source(source: Path, below: Path | None) -> int:
    """Return an O_PATH descriptor of ``source``, a directory, file or socket.

    Raises:
        HiveError: ``not_found``; ``forbidden`` if a link or special file is in the way.
    """
    try:
        if below is None:
            return os.open(source, os.O_PATH | os.O_CLOEXEC)
        return _walk(below, source.relative_to(below).parts)
    except (FileNotFoundError, NotADirectoryError) as error:
        if _has_link(source, below):
            raise _link(source) from error
        raise HiveError(
            ErrorCode.NOT_FOUND,
            f"{source} is not there, and a sandbox needs it. Restore it, or make the "
            "agent anew.",
        ) from error
    except OSError as error:
        raise HiveError(
            ErrorCode.UNAVAILABLE,
            f"{source} cannot be opened for a sandbox: {error.strerror}.",
        ) from error


def _walk(below: Path, parts: Iterable[str]) -> int:
    descriptor = os.open(below, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
    for part in parts:
        try:
            inner = os.open(part, flags, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = inner
        mode = os.fstat(descriptor).st_mode
        if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)):
            os.close(descriptor)
            raise _link(below.joinpath(*parts))
    return descriptor


def _has_link(source: Path, below: Path | None) -> bool:
    if below is None:
        return False
    inside = [p for p in (source, *source.parents) if p != below and below in p.parents]
    return any(path.is_symlink() for path in inside)


def _link(source: Path) -> HiveError:
    return HiveError(
        ErrorCode.FORBIDDEN,
        f"{source} goes through a link or a special file that the hive did not make. "
        "It is not bound into a sandbox; remove what was put there.",
    )
