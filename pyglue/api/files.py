"""The files that an agent keeps in ``/state``, and those that all share in ``/shared``.

A path is written from there, its components divided by ``/`` and each percent-encoded
(``pyglue.text.file_names``), so that every name that Linux allows can be said.
"""

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta

from pyglue.api.common import AgentName, Params, Result

LISTED_MAX: Final = 1000
"""Most entries of one answer."""
READ_MAX: Final = 256 * 1024
"""Bytes of one answer."""
FilePath = Annotated[str, Meta(max_length=12_288)]
"""Three times what Linux takes: each byte may need three."""


class FileKind(StrEnum):
    """What lies at a path. ``other`` is a socket, a pipe or a device."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    OTHER = "other"


class FilesParams(Params, frozen=True):
    """Look at a path of an agent's ``/state``; without ``agent`` of ``/shared``."""

    agent: AgentName | None = None
    path: FilePath = ""


class FileEntry(Result, frozen=True):
    """What lies at one path. ``name`` is encoded; ``size`` in bytes."""

    name: str
    kind: FileKind
    size: int
    modified_at: float


class FilesResult(Result, frozen=True):
    """What lies there, and what is in it if it is a directory: directories first.

    ``more`` says that it contains more than ``LISTED_MAX``; which are listed is then
    up to the file system.
    """

    here: FileEntry
    entries: tuple[FileEntry, ...] = ()
    more: bool = False


class FileParams(FilesParams, frozen=True):
    """Read a file from byte ``offset`` on."""

    offset: Annotated[int, Meta(ge=0, le=2**53)] = 0


class FileChunk(Result, frozen=True):
    """The next bytes, at most ``READ_MAX``; none at the end. ``size`` is of all."""

    data: bytes
    size: int
    modified_at: float
