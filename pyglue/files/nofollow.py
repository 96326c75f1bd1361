"""The only way to files in places that an agent can write: by descriptor, never a link.

An agent may replace one of its directories by a link, or by another directory, at any
time, so a path there is unreliable: it may have changed since it was checked. Here each
component is opened in the one above (``directory``), and the opened descriptor is used.
``top`` is a directory that only the hive writes, such as the state directory; anyone
may own what is below it. Blocking. A test forbids every other way.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from pyglue.errors import HiveError
from pyglue.files.directory import PLACE, Folder, in_the_way, refuse

_SOCKETS_TOO: Final = (stat.S_ISDIR, stat.S_ISREG, stat.S_ISSOCK)


@contextmanager
def opened(top: Path, place: Path) -> Iterator[Folder | None]:
    """Open a directory; return None if it, or one above it, does not exist.

    Raises:
        HiveError: ``forbidden`` if a link or file is in the way.
    """
    try:
        folder = Folder.at(top, place)
    except FileNotFoundError:
        yield None
        return
    with folder:
        yield folder


def exists(top: Path, place: Path) -> bool:
    """Return whether something is at ``place``; behind a link nothing is."""
    with suppress(HiveError), opened(top, place.parent) as above:
        return above is not None and above.look(place.name) is not None
    return False


def is_folder(top: Path, place: Path) -> bool:
    """Return whether ``place`` is a directory; behind a link nothing is."""
    with suppress(HiveError), opened(top, place.parent) as above:
        return above is not None and above.is_folder(place.name)
    return False


def names(top: Path, place: Path) -> tuple[str, ...]:
    """Return what is in a directory, sorted; nothing if there is none."""
    with suppress(HiveError, OSError), opened(top, place) as folder:
        return () if folder is None else folder.names()
    return ()


def remove(top: Path, place: Path) -> None:
    """Remove ``place`` and all below it; again is no error.

    Raises:
        HiveError: ``forbidden`` if a link is in the way; ``unavailable`` with what
            stays.
    """
    with opened(top, place.parent) as above:
        if above is not None:
            above.remove(place.name)


def size(top: Path, place: Path) -> int:
    """Return what ``place`` takes on disk, as far as it can be read; in bytes."""
    with suppress(HiveError), opened(top, place.parent) as above:
        return 0 if above is None else above.size(place.name)
    return 0


def open_place(top: Path, place: Path) -> int:
    """Return an ``O_PATH`` descriptor of a directory, file or socket.

    Raises:
        HiveError: ``forbidden`` if a link or another kind of file is there.
        FileNotFoundError: it is not there.
    """
    if place == top:
        return os.open(top, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    with Folder.at(top, place.parent) as above:
        try:
            descriptor = os.open(place.name, PLACE, dir_fd=above.fd)
        except OSError as error:
            refuse(place, error)
    mode = os.fstat(descriptor).st_mode
    if not any(kind(mode) for kind in _SOCKETS_TOO):
        os.close(descriptor)
        raise in_the_way(place)
    return descriptor
