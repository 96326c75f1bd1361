"""Earlier proposals for the same agent, for comparison by the operator."""

from peewee import Expression

from pyglue.api.approvals import ApprovalKind, ApprovalState
from pyglue.store.approvals import ApprovalRow
from pyglue.store.database import Reader
from pyglue.store.models import ApprovalModel

_OPEN = (ApprovalState.APPROVED.value, ApprovalState.BUILDING.value)
_UNJUDGED = (
    ApprovalState.PENDING,
    ApprovalState.SUPERSEDED,
    ApprovalState.WITHDRAWN,
    ApprovalState.EXPIRED,
)


def previous(reader: Reader, row: ApprovalRow) -> ApprovalRow | None:
    """Return the previous proposal for the same agent."""
    return _newest_before(reader, row)


def last_judged(reader: Reader, row: ApprovalRow) -> ApprovalRow | None:
    """Return the last earlier proposal for the same agent that the operator decided.

    This skips proposals closed without a decision, and rebuilds of approved commits.
    """
    return _newest_before(
        reader,
        row,
        ApprovalModel.kind != ApprovalKind.REBUILD.value,
        ApprovalModel.state.not_in([state.value for state in _UNJUDGED]),
    )


def last_deployed(reader: Reader, row: ApprovalRow) -> ApprovalRow | None:
    """Return the last proposal deployed for the same agent before this one."""
    return _newest_before(
        reader, row, ApprovalModel.state == ApprovalState.DEPLOYED.value
    )


def last_approved(reader: Reader, row: ApprovalRow) -> ApprovalRow | None:
    """Return the last approved proposal for the same agent, deployed or not."""
    ended = (ApprovalState.DEPLOYED.value, ApprovalState.FAILED.value)
    return _newest_before(reader, row, ApprovalModel.state.in_((*_OPEN, *ended)))


def _newest_before(
    reader: Reader, row: ApprovalRow, *conditions: Expression
) -> ApprovalRow | None:
    """Return the newest older proposal for the same agent that meets ``conditions``."""
    query = (
        ApprovalModel.select()
        .where(ApprovalModel.agent == row.agent, ApprovalModel.id < row.id, *conditions)
        .order_by(ApprovalModel.id.desc())
        .limit(1)
    )
    rows = [ApprovalRow.of(found) for found in query.execute(reader.db)]
    return rows[0] if rows else None
