"""Operations, which hived runs in steps, and their progress."""

from collections.abc import Mapping
from typing import Any

import msgspec

from pyglue import strict_json
from pyglue.api.events import OperationChanged
from pyglue.api.operations import Operation, OperationKind, OperationState
from pyglue.errors import ErrorCode, HiveError
from pyglue.store.database import Reader, Tx
from pyglue.store.models import OperationModel

_OPEN = (OperationState.QUEUED.value, OperationState.RUNNING.value)


def _view(row: OperationModel) -> Operation:
    return Operation(
        id=row.id,
        kind=OperationKind(row.kind),
        agent=row.agent,
        state=OperationState(row.state),
        step=row.step,
        approval=row.approval,
        error=row.error,
        requested_by=row.requested_by,
        created_at=row.created_at,
        finished_at=row.finished_at,
        note=str(strict_json.read(row.arguments, dict[str, Any]).get("note", "")),
    )


def insert(
    tx: Tx,
    *,
    kind: OperationKind,
    agent: str,
    requested_by: str,
    approval: int | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Operation:
    """Queue an operation."""
    number: int = OperationModel.insert(
        kind=kind.value,
        agent=agent,
        state=OperationState.QUEUED.value,
        step="",
        approval=approval,
        requested_by=requested_by,
        created_at=tx.now,
        arguments=_encoded(arguments or {}),
    ).execute(tx.db)
    operation = get(tx, number)
    _emit(tx, operation)
    return operation


def advance(tx: Tx, number: int, step: str, error: str | None) -> Operation:
    """Record that ``step`` begins and the previous ones are done, and any failure.

    An operation that has been cancelled is returned unchanged, with its error.
    """
    stands = get(tx, number)
    if error is None and stands.error is not None:
        return stands
    OperationModel.update(
        state=OperationState.RUNNING.value, step=step, error=error
    ).where(OperationModel.id == number).execute(tx.db)
    operation = get(tx, number)
    _emit(tx, operation)
    return operation


def cancel(tx: Tx, number: int, error: str) -> Operation:
    """Cancel an operation; its handler notices that before the next step.

    Raises:
        HiveError: ``not_found``; ``conflict`` if it cannot be cancelled.
    """
    stands = get(tx, number)
    if not stands.cancellable:
        raise HiveError(ErrorCode.CONFLICT, _why_not(stands))
    OperationModel.update(error=error).where(OperationModel.id == number).execute(tx.db)
    operation = get(tx, number)
    _emit(tx, operation)
    return operation


def _why_not(stands: Operation) -> str:
    what = f"Operation {stands.id} ({stands.kind.value} {stands.agent})"
    if stands.finished_at is not None:
        return f"{what} has already ended: {stands.state.value}."
    if stands.error is not None:
        return f"{what} is already failing: {stands.error}"
    return (
        f"{what} is at the step {stands.step!r} and can no longer be cancelled. Only "
        "queued or building operations can be. To undo a deployment, roll it back."
    )


def finish(tx: Tx, number: int, error: str | None) -> Operation:
    """Record the outcome."""
    state = OperationState.DONE if error is None else OperationState.FAILED
    OperationModel.update(state=state.value, error=error, finished_at=tx.now).where(
        OperationModel.id == number
    ).execute(tx.db)
    operation = get(tx, number)
    _emit(tx, operation)
    return operation


def get(tx: Tx | Reader, number: int) -> Operation:
    """Return an operation.

    Raises:
        HiveError: ``not_found``.
    """
    query = OperationModel.select().where(OperationModel.id == number)
    rows = list(query.execute(tx.db))
    if not rows:
        raise HiveError(ErrorCode.NOT_FOUND, f"There is no operation {number}.")
    return _view(rows[0])


def arguments(reader: Reader | Tx, number: int) -> dict[str, Any]:
    """Return the arguments of an operation, including those it has set itself."""
    row = reader.execute(
        "SELECT arguments FROM operation WHERE id = ?", number
    ).fetchone()
    return {} if row is None else strict_json.read(row[0], dict[str, Any])


def set_arguments(tx: Tx, number: int, values: Mapping[str, Any]) -> None:
    """Replace an operation's arguments; ``note`` among them is shown to people."""
    text = _encoded(values)
    tx.execute("UPDATE operation SET arguments = ? WHERE id = ?", text, number)
    _emit(tx, get(tx, number))


def open_of(reader: Reader | Tx, agent: str) -> Operation | None:
    """Return an unfinished operation of an agent; None if there is none."""
    query = OperationModel.select().where(
        OperationModel.state.in_(_OPEN), OperationModel.agent == agent
    )
    return next((_view(row) for row in query.limit(1).execute(reader.db)), None)


def unfinished(reader: Reader | Tx) -> tuple[Operation, ...]:
    """Return unfinished operations, oldest first."""
    query = (
        OperationModel.select()
        .where(OperationModel.state.in_(_OPEN))
        .order_by(OperationModel.id)
    )
    return tuple(_view(row) for row in query.execute(reader.db))


def recent(reader: Reader, limit: int = 50) -> tuple[Operation, ...]:
    """Return the latest operations."""
    query = OperationModel.select().order_by(OperationModel.id.desc()).limit(limit)
    return tuple(_view(row) for row in query.execute(reader.db))


def _encoded(values: Mapping[str, Any]) -> str:
    return msgspec.json.encode(dict(values)).decode()


def _emit(tx: Tx, operation: Operation) -> None:
    changed = OperationChanged(
        operation=operation.id,
        kind=operation.kind,
        state=operation.state,
        step=operation.step,
        approval=operation.approval,
        error=operation.error,
    )
    tx.emit(operation.agent, changed)
