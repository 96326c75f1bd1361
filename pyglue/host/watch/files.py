"""Shows the operator the files of agents in ``/state`` and ``/shared``.

Agents control all of it: each path component is opened separately, without following
links, and only regular files are read. Nothing is executed or changed.
"""

import asyncio
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from pyglue.api.files import (
    LISTED_MAX,
    READ_MAX,
    FileChunk,
    FileEntry,
    FileKind,
    FileParams,
    FilesParams,
    FilesResult,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.files.directory import Folder
from pyglue.paths import Layout
from pyglue.text import file_names

T = TypeVar("T")

_KINDS: Final = (
    (stat.S_ISREG, FileKind.FILE),
    (stat.S_ISDIR, FileKind.DIRECTORY),
    (stat.S_ISLNK, FileKind.LINK),
)


@dataclass(frozen=True, kw_only=True)
class Files:
    """Lists and reads files. ``known`` raises ``not_found`` unless the agent exists."""

    known: Callable[[str], object]
    layout: Layout

    async def look(self, params: FilesParams) -> FilesResult:
        """Return the entry at a path, and the contents if it is a directory.

        Raises:
            HiveError: ``not_found``, ``bad_request``, ``forbidden`` if the path
                contains a link.
        """
        return await self._at(params, _look)

    async def read(self, params: FileParams) -> FileChunk:
        """Return bytes of a file.

        Raises:
            HiveError: as ``look``; ``forbidden`` also if it is not a regular file.
        """
        return await self._at(params, partial(_read, offset=params.offset))

    async def _at(
        self, params: FilesParams, act: Callable[[Folder, Sequence[str]], T]
    ) -> T:
        where = "/shared" if params.agent is None else "/state"
        if params.agent is not None:
            self.known(params.agent)
        parts = file_names.decoded(params.path)
        try:
            return await asyncio.to_thread(self._in, params.agent, parts, act)
        except HiveError as error:
            if error.code is not ErrorCode.FORBIDDEN:
                raise
            raise _refused(
                ErrorCode.FORBIDDEN,
                "The path contains a link or a special file; links are not followed",
                where,
            ) from error
        except FileNotFoundError as error:
            raise _refused(
                ErrorCode.NOT_FOUND,
                "There is no such file, or the agent has not started yet",
                where,
            ) from error
        except OSError as error:
            raise _refused(
                ErrorCode.UNAVAILABLE, f"Cannot read it: {error.strerror}", where
            ) from error

    def _in(
        self,
        agent: str | None,
        parts: Sequence[str],
        act: Callable[[Folder, Sequence[str]], T],
    ) -> T:
        """Act in the directory above the last of ``parts``, or at the top."""
        state = self.layout.state
        if agent is None:
            folder = Folder.at(state, self.layout.shared)
        else:
            folder = Folder.at(state, self.layout.agent_state(agent))
        for part in parts[:-1]:
            with folder:
                folder = folder.folder(part)
        with folder:
            return act(folder, parts[-1:])


def _look(above: Folder, last: Sequence[str]) -> FilesResult:
    if not last:
        return _listed(above, _file_entry("", above.status))
    here = _entry(above, last[0])
    if here is None:
        raise FileNotFoundError
    if here.kind is not FileKind.DIRECTORY:
        return FilesResult(here=here)
    with above.folder(last[0]) as folder:
        return _listed(folder, here)


def _listed(folder: Folder, here: FileEntry) -> FilesResult:
    names = folder.some_names(LISTED_MAX + 1)
    found = [_entry(folder, name) for name in names[:LISTED_MAX]]
    entries = [entry for entry in found if entry is not None]
    entries.sort(key=lambda one: (one.kind is not FileKind.DIRECTORY, one.name))
    return FilesResult(here=here, entries=tuple(entries), more=len(names) > LISTED_MAX)


def _read(above: Folder, last: Sequence[str], offset: int) -> FileChunk:
    if not last:
        raise HiveError(ErrorCode.FORBIDDEN, "A directory has no content.")
    descriptor = above.open_file(last[0])
    try:
        status = os.fstat(descriptor)
        return FileChunk(
            data=os.pread(descriptor, READ_MAX, offset),
            size=status.st_size,
            modified_at=status.st_mtime,
        )
    finally:
        os.close(descriptor)


def _entry(folder: Folder, name: str) -> FileEntry | None:
    status = folder.look(name)
    return None if status is None else _file_entry(name, status)


def _file_entry(name: str, status: os.stat_result) -> FileEntry:
    kinds = (kind for is_kind, kind in _KINDS if is_kind(status.st_mode))
    return FileEntry(
        name=file_names.encoded(name),
        kind=next(kinds, FileKind.OTHER),
        size=status.st_size,
        modified_at=status.st_mtime,
    )


def _refused(code: ErrorCode, why: str, where: str) -> HiveError:
    return HiveError(code, f"{why}. Browse {where} again.")
