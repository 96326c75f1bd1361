"""Unpacks an archive from any source: every member is checked first.

Only what ``writer`` writes is accepted: regular files and directories, and links where
they are allowed (``headers`` reads them). Each component is opened in the one above,
never through a link, so that nothing lands outside its place, even while an agent is
working in it. Blocking.
"""

import errno
import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, NoReturn

from pyglue import strict_json
from pyglue.archive.headers import Header, Headers, bad
from pyglue.archive.index import (
    FORMAT,
    INDEX,
    LEFT_OUT_LINE_MAX,
    LEFT_OUT_MAX,
    Index,
    Kind,
    split,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.files.directory import Folder
from pyglue.strict_json import JsonError
from pyglue.text.display import visible

_CHUNK: Final = 1024 * 1024
_END_MAX: Final = 1024 * 1024
"""How many zeros may follow; tar pads its last record."""
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much an archive may contain, unpacked, and the space that must stay free."""

    entries: int
    file_bytes: int
    total_bytes: int
    index_bytes: int
    reserve_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where members go: open directories by first component, single files by name.

    ``owner`` gets all of it; None: this process's user; ``as_stored`` uses the user and
    group numbers of the archive. ``links``: whether symbolic links are made.
    """

    trees: Mapping[str, Folder]
    files: Mapping[str, Path]
    owner: tuple[int, int] | None = None
    as_stored: bool = False
    links: bool = False


@dataclass(kw_only=True)
class _State:
    seen: dict[str, tuple[int, str]] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    total: int = 0
    count: int = 0


def unpack(
    stream: BinaryIO | io.BufferedIOBase, kind: Kind, places: Places, limits: Limits
) -> Index:
    """Unpack all of it and return its index, which matches what was unpacked.

    On an error, files that were already unpacked stay: the caller removes the places.

    Raises:
        HiveError: ``bad_request`` with what is wrong; ``too_large``; ``unavailable``
            when the disk is full.
    """
    try:
        with gzip.GzipFile(fileobj=stream, mode="rb") as plain:
            return _Unpacking(plain, places, limits).run(kind)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        bad("it is truncated or damaged")
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise HiveError(
                ErrorCode.UNAVAILABLE, "The disk is full. Nothing was changed."
            ) from error
        raise


class _Unpacking:
    def __init__(
        self,
        plain: gzip.GzipFile,
        places: Places,
        limits: Limits,
    ) -> None:
        self._plain = plain
        self._headers = Headers(plain, links=places.links)
        self._places = places
        self._limits = limits
        self._state = _State()
        self._tops = {name: folder.fd for name, folder in places.trees.items()}

    def run(self, kind: Kind) -> Index:
        """Unpack one member after another; the index is the last."""
        while (member := self._headers.next()) is not None:
            parts = split(member.name)
            if parts is None:
                bad(f"the name {visible(member.name, limit=100)!a} is not allowed")
            if member.name in self._state.names:
                bad(f"it contains {visible(member.name, limit=100)!a} twice")
            self._state.names.add(member.name)
            if member.name == INDEX:
                return self._end(self._index(member), kind)
            self._place(member, parts)
        bad("it has no index")

    # --- members ----------------------------------------------------------------------

    def _place(self, member: Header, parts: tuple[bytes, ...]) -> None:
        self._count(member)
        shown = visible(member.name, limit=100)
        first = os.fsdecode(parts[0])
        if len(parts) == 1 and first in self._places.files:
            if member.type != b"0":
                bad(f"{shown!a} is not a file")
            target = self._places.files[first]
            above = os.open(target.parent, _DIRECTORY)
            try:
                self._check_disk(above, member.size)
                self._file(member, above, os.fsencode(target.name))
            finally:
                os.close(above)
        elif first in self._tops:
            self._check_disk(self._tops[first], member.size)
            self._in_tree(member, self._tops[first], parts[1:])
        else:
            bad(f"{shown!a} does not belong in it")

    def _in_tree(self, member: Header, top: int, parts: tuple[bytes, ...]) -> None:
        if not parts:  # the top itself, which is there
            if member.type != b"5":
                bad(f"{visible(member.name)!a} is not a directory")
            self._own(top, member)
            return
        above = os.dup(top)
        try:
            for part in parts[:-1]:
                below = os.open(part, _DIRECTORY, dir_fd=above)
                os.close(above)
                above = below
            self._make(member, above, parts[-1])
        except (FileExistsError, FileNotFoundError, NotADirectoryError) as error:
            bad(f"{visible(member.name, limit=100)!a} has no directory", error)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            bad(f"{visible(member.name, limit=100)!a} has no directory", error)
        finally:
            os.close(above)

    def _make(self, member: Header, above: int, name: bytes) -> None:
        if member.type == b"0":
            self._file(member, above, name)
        elif member.type == b"5":
            os.mkdir(name, 0o700, dir_fd=above)
            made = os.open(name, _DIRECTORY, dir_fd=above)
            try:
                self._own(made, member)
                os.fchmod(made, (member.mode & 0o777) | 0o700)
            finally:
                os.close(made)
        else:
            os.symlink(os.fsencode(member.target), name, dir_fd=above)
            owner = self._owner(member)
            if owner is not None:
                os.chown(name, *owner, dir_fd=above, follow_symlinks=False)

    def _file(self, member: Header, above: int, name: bytes) -> None:
        digest = hashlib.sha256()
        descriptor = os.open(name, _NEW, 0o600, dir_fd=above)
        with os.fdopen(descriptor, "wb") as file:
            left = member.size
            while left:
                data = self._headers.exactly(min(left, _CHUNK))
                digest.update(data)
                file.write(data)
                left -= len(data)
            file.flush()
            self._own(descriptor, member)
            os.fchmod(descriptor, member.mode & 0o777)
        self._headers.pad(member.size)
        self._state.seen[member.name] = (member.size, digest.hexdigest())

    def _own(self, descriptor: int, member: Header) -> None:
        owner = self._owner(member)
        if owner is not None:
            os.fchown(descriptor, *owner)

    def _owner(self, member: Header) -> tuple[int, int] | None:
        if self._places.as_stored:
            return member.uid, member.gid
        return self._places.owner

    def _count(self, member: Header) -> None:
        state, limits = self._state, self._limits
        state.count += 1
        state.total += member.size
        if state.count > limits.entries:
            _large(f"more than {limits.entries} files")
        if member.size > limits.file_bytes:
            _large(f"a file of more than {limits.file_bytes} bytes")
        if state.total > limits.total_bytes:
            _large(f"more than {limits.total_bytes} bytes")

    def _check_disk(self, place: int, size: int) -> None:
        """Keep space for the rest of the hive, which shares the disk."""
        reserve = self._limits.reserve_bytes
        found = os.statvfs(place)
        if reserve and found.f_bavail * found.f_frsize < size + reserve:
            raise HiveError(
                ErrorCode.UNAVAILABLE,
                f"The disk is too full for the archive: {reserve // 2**20} MiB must "
                "stay free. Nothing was changed.",
            )

    # --- the end ----------------------------------------------------------------------

    def _index(self, member: Header) -> Index:
        if member.type != b"0":
            bad("its index is not a file")
        if member.size > self._limits.index_bytes:
            _large("an index that is too large")
        data = self._headers.exactly(member.size)
        self._headers.pad(member.size)
        try:
            index = strict_json.read(data, Index, unique=True)
        except JsonError as error:
            bad("its index cannot be read", error)
        lines = index.left_out
        if len(lines) > LEFT_OUT_MAX or max(map(len, lines), default=0) > (
            LEFT_OUT_LINE_MAX
        ):
            bad("its index lists too many omitted files")
        if index.format != FORMAT:
            bad(
                f"its format is {index.format}, but this version of hyperhive reads "
                f"{FORMAT}; it was written by another version"
            )
        return index

    def _end(self, index: Index, kind: Kind) -> Index:
        if index.kind is not kind:
            bad(f"it contains {_A[index.kind]} instead of {_A[kind]}")
        listed = {member.name: (member.size, member.sha256) for member in index.members}
        if len(listed) != len(index.members):
            bad("its index lists a file twice")
        for name, found in self._state.seen.items():
            shown = visible(name, limit=100)
            if name not in listed:
                bad(f"its index does not list {shown!a}")
            if listed[name] != found:
                bad(f"{shown!a} differs from its index: the hash does not match")
        missing = listed.keys() - self._state.seen.keys()
        if missing:
            bad(f"{visible(min(missing), limit=100)!a} is missing")
        rest = self._plain.read(_END_MAX)
        if rest.strip(b"\0") or self._plain.read(1):
            bad("it has data after its index")
        return index


_A: Final = {Kind.AGENT: "an agent", Kind.HIVE: "a whole hive"}


def _large(what: str) -> NoReturn:
    raise HiveError(
        ErrorCode.TOO_LARGE, f"The archive contains {what}. Nothing was changed."
    )
