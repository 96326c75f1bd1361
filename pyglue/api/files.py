"""The files of an agent in ``/state``, and the common files in ``/shared``.

A path is relative to that directory, with percent-encoded components separated by ``/``
(``pyglue.text.file_names``), so that every name that Linux allows can be expressed.
"""

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta

from pyglue.api.common import AgentName, Params, Result

LISTED_MAX: Final = 1000
"""Most entries in one result."""
READ_MAX: Final = 256 * 1024
"""Most bytes in one result."""
FilePath = Annotated[str, Meta(max_length=12_288)]
"""Three times Linux's limit: each byte may need three."""


class FileKind(StrEnum):
    """The type of a file. ``other`` is a socket, a pipe or a device."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    OTHER = "other"


class FilesParams(Params, frozen=True):
    """Names a path in an agent's ``/state``; without ``agent`` in ``/shared``."""

    agent: AgentName | None = None
    path: FilePath = ""


class FileEntry(Result, frozen=True):
    """A file or directory. ``name`` is encoded; ``size`` is in bytes."""

    name: str
    kind: FileKind
    size: int
    modified_at: float


class FilesResult(Result, frozen=True):
    """A file, or a directory with its entries, directories first.

    ``more``: it contains more than ``LISTED_MAX`` entries, and the file system decides
    which are listed.
    """

    here: FileEntry
    entries: tuple[FileEntry, ...] = ()
    more: bool = False


class FileParams(FilesParams, frozen=True):
    """Read a file from byte ``offset`` on."""

    offset: Annotated[int, Meta(ge=0, le=2**53)] = 0


class FileChunk(Result, frozen=True):
    """The next bytes, at most ``READ_MAX``; none at the end. ``size`` is the file's."""

    data: bytes
    size: int
    modified_at: float
