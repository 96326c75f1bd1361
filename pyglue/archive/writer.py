"""Writes an archive to a stream, member by member, and the index at the end.

Blocking: hived does it in a thread, into a pipe. A file that shrinks while it is read
is padded with zeros, and listed as changed; one that grows is read up to its first
length.
"""

import gzip
import hashlib
import io
import os
import tarfile
import time
from collections import Counter
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from pyglue import __version__
from pyglue.archive.index import (
    FORMAT,
    INDEX,
    LEFT_OUT_LINE_MAX,
    LEFT_OUT_MAX,
    Index,
    Kind,
    Member,
)
from pyglue.archive.masked import Hidden, Masked, Readable
from pyglue.archive.sparse import is_mostly_holes
from pyglue.archive.tree import Entry, LeftOut, walk
from pyglue.errors import ErrorCode, HiveError
from pyglue.files.directory import Folder

_NOTHING: Final[Hidden] = {}
_CHUNK: Final = 1024 * 1024
_LEVEL: Final = 3
_SHOWN: Final = 300
_INDEX_MAX: Final = {Kind.AGENT: 48 * 1024**2, Kind.HIVE: 768 * 1024**2}
"""Bytes of the index for members; it is kept in memory, and read with a limit."""
AGAIN_MAX: Final = 1024**3
"""Bytes that are read again because a file has several names (hard links)."""
_MEMBER: Final = 128
"""Bytes that a member takes besides its name."""


class Writer:
    """An archive being written; ``finish`` completes it."""

    def __init__(
        self,
        stream: IO[bytes],
        kind: Kind,
        *,
        file_max: int,
        entries_max: int,
        total_max: int,
        hidden: Hidden = _NOTHING,
    ) -> None:
        """In agents' files, each value in ``hidden`` is replaced as ``hidden`` says."""
        self._hidden = hidden
        self._zip = gzip.GzipFile(
            filename="", fileobj=stream, mode="wb", compresslevel=_LEVEL, mtime=0
        )
        self._tar = tarfile.open(  # noqa: SIM115 - closed in ``finish``
            fileobj=self._zip, mode="w", format=tarfile.PAX_FORMAT
        )
        self._kind = kind
        self._file_max = file_max
        self._entries_max = entries_max
        self._total_max = total_max
        self._spent: Counter[str] = Counter()
        self._again: Counter[str] = Counter()
        self._linked: dict[tuple[int, int], str] = {}
        self._entries = 0
        self._index_bytes = 0
        self._members: list[Member] = []
        self.left_out: list[str] = []

    def add_bytes(self, name: str, data: bytes, *, mode: int = 0o600) -> None:
        """Add a file with this content."""
        info = self._info(name, mode=mode, uid=os.geteuid(), gid=os.getegid())
        info.size = len(data)
        self._add(info, io.BytesIO(data))

    def add_file(self, name: str, path: Path, *, size: int | None = None) -> None:
        """Add one of the host's own files, or its first ``size`` bytes."""
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            info = self._of(name, status)
            info.size = status.st_size if size is None else size
            self._add(info, file)

    def add_tree(self, name: str, top: Folder, *, links: bool) -> None:
        """Add everything below ``top``, whoever wrote it; see ``walk``."""
        for found in walk(top, name, links=links):
            match found:
                case LeftOut():
                    self.leave_out(found.name, found.why)
                case Entry():
                    self.add_entry(found)

    def add_entry(self, found: Entry) -> None:
        """Add one entry of a tree."""
        info = self._of(found.name, found.status)
        if found.target is not None:
            info.type, info.linkname = tarfile.SYMTYPE, os.fsdecode(found.target)
            if not found.target.isascii():
                self.leave_out(found.name, "it is a link with an invalid target")
                return
            self._count(found.name)
            self._tar.addfile(info)
        elif found.descriptor is None:
            info.type = tarfile.DIRTYPE
            self._count(found.name)
            self._tar.addfile(info)
        elif (why := self._too_much(found, found.descriptor)) is not None:
            self.leave_out(found.name, why)
        else:
            info.size = found.status.st_size
            with open(found.descriptor, "rb", closefd=False) as file:
                self._add(info, Masked(file, self._hidden) if self._hidden else file)

    def _too_much(self, found: Entry, descriptor: int) -> str | None:
        """Return why a file is not read: an agent can make it seem any size."""
        size = found.status.st_size
        if size > self._file_max:
            return f"it has more than {self._file_max} bytes"
        if is_mostly_holes(descriptor, size):
            return f"it is sparse: most of its {size} bytes are holes"
        # In a hive, each agent has its own totals: one cannot use up another's.
        parts = 2 if self._kind is Kind.HIVE else 0
        part = "/".join(found.name.split("/")[:parts])
        if found.status.st_nlink > 1:
            key = (found.status.st_dev, found.status.st_ino)
            first = self._linked.setdefault(key, found.name)
            again = size if first != found.name else 0
            if self._again[part] + again > AGAIN_MAX:
                return f"it is a hard link to {first}"
            self._again[part] += again
        if self._spent[part] + size > self._total_max:
            return f"the limit of {self._total_max} bytes is exceeded"
        self._spent[part] += size
        return None

    def leave_out(self, name: str, why: str) -> None:
        """Record that something is not in the archive."""
        if len(name) > 2 * _SHOWN:
            name = f"{name[:_SHOWN]}…{name[-_SHOWN:]}"
        if len(self.left_out) < LEFT_OUT_MAX - 1:
            self.left_out.append(f"{name}: {why}"[:LEFT_OUT_LINE_MAX])
        elif len(self.left_out) == LEFT_OUT_MAX - 1:
            self.left_out.append("and more")

    def finish(self, about: dict[str, Any]) -> None:
        """Write the index and the end."""
        index = Index(
            format=FORMAT,
            kind=self._kind,
            version=__version__,
            created_at=time.time(),
            about=about,
            members=tuple(self._members),
            left_out=tuple(self.left_out),
        )
        self.add_bytes(INDEX, msgspec.json.encode(index))
        self._tar.close()
        self._zip.close()

    def _info(self, name: str, *, mode: int, uid: int, gid: int) -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.mode, info.uid, info.gid = mode & 0o777, uid, gid
        info.mtime = int(time.time())
        return info

    def _of(self, name: str, status: os.stat_result) -> tarfile.TarInfo:
        info = self._info(
            name, mode=status.st_mode, uid=status.st_uid, gid=status.st_gid
        )
        info.mtime = max(0, int(status.st_mtime))
        return info

    def _count(self, name: str) -> None:
        self._entries += 1
        if self._entries > self._entries_max:
            raise _too_many(f"more than {self._entries_max} files", name)

    def _add(self, info: tarfile.TarInfo, file: Readable) -> None:
        self._count(info.name)
        self._index_bytes += len(info.name) + _MEMBER
        if self._index_bytes > _INDEX_MAX[self._kind]:
            raise _too_many("more file names than an archive can hold", info.name)
        source = _Exactly(file, info.size)
        self._tar.addfile(info, source)
        if source.short:
            self.leave_out(info.name, "its end, removed while being read")
        digest = source.hash.hexdigest()
        self._members.append(Member(info.name, info.size, digest))


def _too_many(what: str, name: str) -> HiveError:
    where = "/".join(name.split("/")[:3])
    return HiveError(
        ErrorCode.TOO_LARGE,
        f"There are {what}; the export stopped in {where[:_SHOWN]}. Have the agent "
        "clean up its state, then try again.",
    )


class _Exactly(io.RawIOBase):
    """``size`` bytes of a file, hashed; zeros where it has been shortened."""

    def __init__(self, file: Readable, size: int) -> None:
        self._file = file
        self._left = size
        self.hash = hashlib.sha256()
        self.short = False

    def read(self, size: int = -1) -> bytes:
        wanted = min(self._left, _CHUNK if size < 0 else size)
        data = self._file.read(wanted)
        if len(data) < wanted:
            self.short = True
            data = data.ljust(wanted, b"\0")
        self._left -= len(data)
        self.hash.update(data)
        return data
