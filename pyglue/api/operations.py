"""What hived does in steps, and where each of it stands.

``operator`` names the calls; these are their types.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from pyglue.api.common import Id, Params, Result


class OperationKind(StrEnum):
    """What hived does in steps."""

    SPAWN = "spawn"
    DEPLOY = "deploy"
    START = "start"
    STOP = "stop"
    RESTART = "restart"
    DRAFT = "draft"
    DISCARD = "discard"
    DESTROY = "destroy"
    RESTORE = "restore"
    PURGE = "purge"
    ROLLBACK = "rollback"
    REBUILD = "rebuild"
    REBUILD_ALL = "rebuild_all"
    IMPORT = "import"


class OperationState(StrEnum):
    """Where an operation stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Operation(Result, frozen=True):
    """An operation's row; that of the whole hive has the agent ``hive``."""

    id: int
    kind: OperationKind
    agent: str
    state: OperationState
    step: str
    approval: int | None
    error: str | None
    requested_by: str
    created_at: float
    finished_at: float | None
    note: str = ""
    """What it has to say beside step and error."""


class OperationParams(Params, frozen=True):
    """Names an operation; with ``wait_seconds`` answers when it ends or time is up."""

    id: Id
    wait_seconds: Annotated[float, Meta(ge=0, le=180)] = 0.0


class OperationsResult(Result, frozen=True):
    """The newest operations."""

    operations: tuple[Operation, ...]
