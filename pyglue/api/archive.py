"""Archives of agents, backups of the whole hive, and repair; only the CLI uses these.

Archives are streamed in chunks in both directions, so the file always belongs to the
caller. The calls are declared in ``operator``.
"""

from typing import Annotated, Final

from msgspec import Meta

from pyglue.api.common import AgentName, Params, Result

CHUNK_MAX: Final = 1024 * 1024
"""Largest chunk of an archive in bytes, before base64."""

_Handle = Annotated[str, Meta(max_length=64)]


class ExportParams(Params, frozen=True):
    """Export an agent or its kept state; ``session`` includes its CLI session."""

    agent: AgentName
    session: bool = True


class BackupParams(Params, frozen=True):
    """Back up the hive; encrypted for a ``recipient`` of age, with secrets."""

    recipient: Annotated[str, Meta(pattern="^age1[0-9a-z]{20,4000}$")] | None = None


class TransferRef(Result, frozen=True):
    """An archive in transfer; it is discarded when the connection ends."""

    transfer: str


class TransferParams(Params, frozen=True):
    """Names one."""

    transfer: _Handle


class TransferChunk(Result, frozen=True):
    """The next bytes; the last chunk (``end``) lists omissions and their reasons."""

    data: bytes
    end: bool
    left_out: tuple[str, ...] = ()


class ImportChunkParams(Params, frozen=True):
    """The next bytes of an archive, in order."""

    transfer: _Handle
    data: Annotated[bytes, Meta(max_length=CHUNK_MAX)]


class ImportParams(Params, frozen=True):
    """Import the uploaded archive; ``name`` None keeps the agent's name."""

    transfer: _Handle
    name: AgentName | None = None


class ImportResult(Result, frozen=True):
    """The agent's name, the import's operation, and the archive's omissions."""

    agent: str
    operation: int
    left_out: tuple[str, ...] = ()


class RepairResult(Result, frozen=True):
    """What was repaired and what could not be; both empty if all is consistent."""

    done: tuple[str, ...]
    failed: tuple[str, ...]
