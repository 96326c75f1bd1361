"""Agents as archives, backups of the whole hive, and mending; for the CLI only.

An archive is streamed in chunks either way, so that its file is the caller's own. The
calls are in ``operator``.
"""

from typing import Annotated, Final

from msgspec import Meta

from pyglue.api.common import AgentName, Params, Result

CHUNK_MAX: Final = 1024 * 1024
"""Largest chunk of an archive in bytes, before base64."""

_Handle = Annotated[str, Meta(max_length=64)]


class ExportParams(Params, frozen=True):
    """Write an agent, or what is kept of one, as an archive; ``session``: its CLI's."""

    agent: AgentName
    session: bool = True


class TransferRef(Result, frozen=True):
    """An archive being written or sent; it ends with the connection."""

    transfer: str


class TransferParams(Params, frozen=True):
    """Names one."""

    transfer: _Handle


class TransferChunk(Result, frozen=True):
    """The next bytes; with the last ones (``end``) what could not be taken, and why."""

    data: bytes
    end: bool
    left_out: tuple[str, ...] = ()


class ImportChunkParams(Params, frozen=True):
    """The next bytes of an archive, in order."""

    transfer: _Handle
    data: Annotated[bytes, Meta(max_length=CHUNK_MAX)]


class ImportParams(Params, frozen=True):
    """Take over the agent whose archive was sent; ``name`` None: as it was called."""

    transfer: _Handle
    name: AgentName | None = None


class ImportResult(Result, frozen=True):
    """Which name it gets, the operation that does it, and what the archive lacks."""

    agent: str
    operation: int
    left_out: tuple[str, ...] = ()


class RepairResult(Result, frozen=True):
    """What was mended, and what could not be; nothing of both: all agrees."""

    done: tuple[str, ...]
    failed: tuple[str, ...]
