"""Reads a tree that an agent may be writing: no link is followed, nothing special read.

Every directory is opened by its name in the one above, so that replacing a component
while it is read leads nowhere else.
"""

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pyglue.archive.index import DEPTH_MAX, PATH_MAX, quote
from pyglue.files.directory import Folder

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_WHY: Final = {
    errno.ELOOP: "it changed while being read",
    errno.ENOTDIR: "it changed while being read",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A directory, a file (open as ``descriptor`` until the next entry) or a link."""

    name: str
    status: os.stat_result
    descriptor: int | None = None
    target: bytes | None = None


@dataclass(frozen=True)
class LeftOut:
    """Something that is left out, and why."""

    name: str
    why: str


def walk(top: Folder, prefix: str, *, links: bool) -> Iterator[Entry | LeftOut]:
    """Yield everything below ``top``, each directory before its contents.

    Names begin with ``prefix``. A link is an entry with ``links``, and left out
    otherwise. ``top`` itself is the first entry, and stays open until the end.
    """
    status = top.status
    yield Entry(name=prefix, status=status)
    yield from _below(top.fd, prefix, status.st_dev, links=links, depth=1)


def _below(
    directory: int, prefix: str, device: int, *, links: bool, depth: int
) -> Iterator[Entry | LeftOut]:
    for name in sorted(os.listdir(directory)):
        path = f"{prefix}/{quote(os.fsencode(name))}"
        if len(path) > PATH_MAX:
            yield LeftOut(path, "its path is too long")
            continue
        try:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode) and links:
                target = os.readlink(os.fsencode(name), dir_fd=directory)
                yield Entry(name=path, status=status, target=target)
            elif stat.S_ISDIR(status.st_mode):
                yield from _directory(
                    directory, name, path, device, links=links, depth=depth
                )
            elif stat.S_ISREG(status.st_mode):
                yield from _file(directory, name, path)
            else:
                yield LeftOut(path, f"it is {_special(status.st_mode)}")
        except FileNotFoundError:  # removed meanwhile
            continue
        except OSError as error:
            yield LeftOut(path, _why(error))


def _directory(
    above: int, name: str, path: str, device: int, *, links: bool, depth: int
) -> Iterator[Entry | LeftOut]:
    descriptor = os.open(name, _DIRECTORY, dir_fd=above)
    try:
        status = os.fstat(descriptor)
        if status.st_dev != device:
            yield LeftOut(path, "another file system is mounted there")
        elif depth >= DEPTH_MAX:
            yield LeftOut(path, f"it is nested more than {DEPTH_MAX} directories deep")
        else:
            yield Entry(name=path, status=status)
            yield from _below(descriptor, path, device, links=links, depth=depth + 1)
    finally:
        os.close(descriptor)


def _file(above: int, name: str, path: str) -> Iterator[Entry | LeftOut]:
    descriptor = os.open(name, _FILE, dir_fd=above)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):
            yield Entry(name=path, status=status, descriptor=descriptor)
        else:
            yield LeftOut(path, "it changed while being read")
    finally:
        os.close(descriptor)


def _special(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a link"
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a pipe" if stat.S_ISFIFO(mode) else "a device"


def _why(error: OSError) -> str:
    return _WHY.get(error.errno or 0, os.strerror(error.errno or 0))
