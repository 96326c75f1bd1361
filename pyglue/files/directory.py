"""An open directory that an agent may write; every access in it is by descriptor.

Every name is a single component, and no link is followed, as openat2(2) guarantees with
``RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS``, but on every kernel. Programs
(``rm``, ``du``, ``chown``, git) get ``/proc/self/fd/N``. ``nofollow`` does the same for
places that have a path. Blocking.
"""

import errno
import itertools
import os
import secrets
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, NoReturn

from pyglue.errors import ErrorCode, HiveError
from pyglue.process import find_program, run_sync
from pyglue.text.display import visible

Owner = tuple[int, int]
"""User and group."""

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
PLACE: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
"""Flags to open something without side effects."""
_TREE_S: Final = 3600.0


class Folder:
    """An open directory. Use it with ``with``; names in it are single components."""

    def __init__(self, descriptor: int, shown: Path) -> None:
        self.fd: Final = descriptor
        self.shown: Final = shown
        """Where it was when it was opened: for sentences, never to be opened."""

    @classmethod
    def at(cls, top: Path, place: Path | None = None) -> "Folder":
        """Open ``place``, which is ``top`` or below it.

        Raises:
            HiveError: ``forbidden`` if a link or file is in the way.
            FileNotFoundError: it is not there.
        """
        folder = cls(os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), top)
        for part in () if place is None else _parts(top, place):
            with folder:
                folder = folder.folder(part)
        return folder

    @property
    def path(self) -> Path:
        """A path that leads here in this process, and in one that is passed ``fd``."""
        return Path(f"/proc/self/fd/{self.fd}")

    @property
    def status(self) -> os.stat_result:
        """Owner, mode and the like, now."""
        return os.fstat(self.fd)

    def folder(self, name: str, *, make: int | None = None) -> "Folder":
        """Open a directory in this one; with ``make`` it is made with that mode.

        Raises:
            HiveError: ``forbidden`` if it is a link or a file.
            FileNotFoundError: it is not there.
        """
        _check(name)
        if make is not None:
            with suppress(FileExistsError):
                os.mkdir(name, make, dir_fd=self.fd)
        try:
            return Folder(os.open(name, _FOLDER, dir_fd=self.fd), self.shown / name)
        except OSError as error:
            refuse(self.shown / name, error)

    def names(self) -> tuple[str, ...]:
        """Return what is in it, sorted."""
        return tuple(sorted(os.listdir(self.fd)))  # noqa: PTH208 (a descriptor)

    def some_names(self, most: int) -> tuple[str, ...]:
        """Return at most so many of what is in it, in the file system's order."""
        with os.scandir(self.fd) as found:
            return tuple(entry.name for entry in itertools.islice(found, most))

    def open_file(self, name: str) -> int:
        """Return a descriptor to read a regular file; a pipe or device is not touched.

        Raises:
            HiveError: ``forbidden`` if something else is there.
            FileNotFoundError: it is not there.
        """
        _check(name)
        place = os.open(name, PLACE, dir_fd=self.fd)
        try:
            if not stat.S_ISREG(os.fstat(place).st_mode):
                raise in_the_way(self.shown / name)
            return os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(place)

    def look(self, name: str) -> os.stat_result | None:
        """Return what ``name`` is, a link itself; None if it is not there."""
        _check(name)
        with suppress(FileNotFoundError):
            return os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        return None

    def is_folder(self, name: str) -> bool:
        """Return whether ``name`` is a directory, and not a link to one."""
        found = self.look(name)
        return found is not None and stat.S_ISDIR(found.st_mode)

    def new_folder(self, prefix: str) -> "Folder":
        """Make a directory that was not there, for its owner only."""
        name = f"{prefix}{secrets.token_hex(8)}"
        os.mkdir(name, 0o700, dir_fd=self.fd)
        return self.folder(name)

    def give(self, owner: Owner | None) -> None:
        """Change its owner; None leaves it. The mode is to be set after that."""
        if owner is not None and owner != (self.status.st_uid, self.status.st_gid):
            os.fchown(self.fd, *owner)

    def set_mode(self, mode: int) -> None:
        """Set its mode."""
        if stat.S_IMODE(self.status.st_mode) != mode:
            os.fchmod(self.fd, mode)

    def move(self, name: str, to: "Folder", new: str) -> None:
        """Move what is here to where nothing is, or an empty directory."""
        _check(name)
        _check(new)
        os.rename(name, new, src_dir_fd=self.fd, dst_dir_fd=to.fd)

    def remove(self, name: str) -> None:
        """Remove ``name`` and all below it, however deep; again is no error.

        Raises:
            HiveError: ``unavailable`` with what stays.
        """
        if self.look(name) is None:
            return
        output = self._run("rm", "-rf", "--one-file-system", name=name)
        if self.look(name) is not None:
            raise HiveError(
                ErrorCode.UNAVAILABLE,
                f"Could not remove {self.shown / name}: {output or 'it still exists'}. "
                "Stop whatever writes to it, then try again.",
            )

    def size(self, name: str) -> int:
        """Return what ``name`` takes on disk, as far as it can be read; in bytes."""
        if self.look(name) is None:
            return 0
        output = self._run("du", "-s", "-x", "--block-size=1", name=name, output=True)
        number = output.split(maxsplit=1)[:1]
        return int(number[0]) if number and number[0].isdigit() else 0

    def give_tree(self, name: str, old: int, owner: Owner) -> None:
        """Give what belongs to ``old`` in ``name`` to ``owner``; the rest stays.

        Raises:
            HiveError: ``unavailable`` with what could not be given.
        """
        output = self._run(
            *("chown", "-R", "-P", "-h", f"--from={old}"),
            f"{owner[0]}:{owner[1]}",
            name=name,
            strict=True,
        )
        if output:
            raise HiveError(
                ErrorCode.UNAVAILABLE,
                f"Could not give {self.shown / name} to user {owner[0]}: {output}.",
            )

    def _run(
        self,
        program: str,
        *arguments: str,
        name: str,
        output: bool = False,
        strict: bool = False,
    ) -> str:
        """Run a program on ``name``; return its output, or what it complained of."""
        _check(name)
        done = run_sync(
            [find_program(program), *arguments, "--", str(self.path / name)],
            env={"LC_ALL": "C"},
            timeout=_TREE_S,
            pass_fds=(self.fd,),
        )
        if output:
            return done.stdout.decode("utf-8", "replace")
        if strict and done.code == 0:
            return ""
        return visible(done.stderr.decode("utf-8", "replace").strip()[-300:])

    def close(self) -> None:
        """Close it."""
        os.close(self.fd)

    def __enter__(self) -> "Folder":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _parts(top: Path, place: Path) -> Sequence[str]:
    return place.relative_to(top).parts


def _check(name: str) -> None:
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ValueError(f"not a single component: {name!r}")


def refuse(place: Path, error: OSError) -> NoReturn:
    """Raise ``error``, or that something is in the way if it says so."""
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        raise in_the_way(place) from error
    raise error


def in_the_way(place: Path) -> HiveError:
    """Return the refusal of what is neither a directory nor a plain file."""
    return HiveError(
        ErrorCode.FORBIDDEN,
        f"{place} is a link or a special file that the hive did not create. Nothing "
        "was done there; remove it.",
    )
