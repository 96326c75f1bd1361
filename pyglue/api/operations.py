"""Operations, which hived executes in steps, and their states.

The calls are declared in ``operator``; these are their types.
"""

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta

from pyglue.api.common import Id, Params, Result, ShortText


class OperationKind(StrEnum):
    """The kind of an operation."""

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


CANCELLABLE: Final = {
    OperationKind.SPAWN: "build",
    OperationKind.DEPLOY: "build",
    OperationKind.RESTORE: "build",
    OperationKind.ROLLBACK: "build",
    OperationKind.REBUILD: "build",
    OperationKind.REBUILD_ALL: "wait",
}
"""The step in which an operation may be cancelled, besides before its start: it has had
no effect yet, or the rest of it is not needed."""


class OperationState(StrEnum):
    """The state of an operation."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Operation(Result, frozen=True):
    """An operation; for the whole hive its agent is ``hive``."""

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
    """A remark besides step and error."""

    @property
    def cancellable(self) -> bool:
        """Whether the operation can be cancelled in its present state."""
        step = CANCELLABLE.get(self.kind)
        begun = self.state is OperationState.RUNNING
        waits = self.state is OperationState.QUEUED or (begun and self.step == step)
        return step is not None and waits and self.error is None


class OperationParams(Params, frozen=True):
    """Names an operation; ``wait_seconds`` waits that long for it to finish."""

    id: Id
    wait_seconds: Annotated[float, Meta(ge=0, le=180)] = 0.0


class CancelOperationParams(Params, frozen=True):
    """Cancel a queued or building operation; it fails with this reason."""

    id: Id
    reason: ShortText = ""


class OperationsResult(Result, frozen=True):
    """The newest operations."""

    operations: tuple[Operation, ...]
