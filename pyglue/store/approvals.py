"""Approvals: the queue of proposals and their states."""

from dataclasses import dataclass

import msgspec

from pyglue import strict_json
from pyglue.api.approvals import (
    ApprovalKind,
    ApprovalsParams,
    ApprovalState,
    ApprovalSummary,
    Effect,
    PolicyChange,
    QuotedComment,
)
from pyglue.api.events import ApprovalChanged, ApprovalCreated
from pyglue.errors import ErrorCode, HiveError
from pyglue.store.database import Reader, Tx
from pyglue.store.models import ApprovalModel


@dataclass(frozen=True, kw_only=True)
class NewApproval:
    """An evaluated proposal that is about to become pending."""

    agent: str
    kind: ApprovalKind
    commit: str
    main: str | None
    record: bytes
    manifest_sha256: str
    nixos_options: tuple[str, ...]
    policy: tuple[PolicyChange, ...]
    description: str
    proposed_by: str
    author: str
    message: str


@dataclass(frozen=True, kw_only=True)
class ApprovalRow(NewApproval):
    """A stored approval."""

    id: int
    state: ApprovalState
    created_at: float
    decided_at: float | None
    decided_by: str | None
    reason: str | None
    operation: int | None
    comments: tuple[QuotedComment, ...] = ()

    @classmethod
    def of(cls, model: ApprovalModel) -> "ApprovalRow":
        """Return the approval in a row of the table."""
        return cls(
            id=model.id,
            agent=model.agent,
            kind=ApprovalKind(model.kind),
            state=ApprovalState(model.state),
            commit=model.commit,
            main=model.main,
            record=bytes(model.record),
            manifest_sha256=model.manifest_sha256,
            nixos_options=strict_json.read(bytes(model.nixos_options), tuple[str, ...]),
            policy=strict_json.read(bytes(model.policy), tuple[PolicyChange, ...]),
            description=model.description,
            proposed_by=model.proposed_by,
            author=model.author,
            message=model.message,
            created_at=model.created_at,
            decided_at=model.decided_at,
            decided_by=model.decided_by,
            reason=model.reason,
            operation=model.operation,
            comments=_comments(model),
        )

    def summary(self) -> ApprovalSummary:
        """Return the row for display in the queue."""
        wider = [one for one in self.policy if one.effect is Effect.WIDENS]
        return ApprovalSummary(
            id=self.id,
            agent=self.agent,
            kind=self.kind,
            state=self.state,
            commit=self.commit,
            manifest_sha256=self.manifest_sha256,
            description=self.description,
            proposed_by=self.proposed_by,
            created_at=self.created_at,
            decided_at=self.decided_at,
            decided_by=self.decided_by,
            reason=self.reason,
            widens=tuple(one.sentence for one in wider),
            operation=self.operation,
            danger=wider[0].danger if wider else None,  # the worst is first
        )


def _comments(model: ApprovalModel) -> tuple[QuotedComment, ...]:
    if model.comments is None:
        return ()
    return strict_json.read(bytes(model.comments), tuple[QuotedComment, ...])


def reserve_id(tx: Tx) -> int:
    """Return the ID for the next ``insert``, which its git tag needs beforehand.

    IDs only grow: one that is reserved but never used stays unused.
    """
    row = tx.execute("SELECT seq FROM sqlite_sequence WHERE name = 'approval'")
    found = row.fetchone()
    number = 1 if found is None else int(found[0]) + 1
    if found is None:
        tx.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('approval', 1)")
    else:
        tx.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'approval'", number)
    return number


def insert(
    tx: Tx, number: int, new: NewApproval, *, approved_by: str | None = None
) -> None:
    """Queue a proposal; an older pending one of the same agent is superseded.

    With ``approved_by`` it is approved at once, and pending proposals stay pending.
    """
    if approved_by is None:
        for older in pending(tx, new.agent):
            reason = None
            if older.proposed_by != new.proposed_by:
                reason = f"Superseded by approval {number} of {new.proposed_by}."
            decide(tx, older.id, ApprovalState.SUPERSEDED, by="system", reason=reason)
    ApprovalModel.insert(
        id=number,
        agent=new.agent,
        kind=new.kind.value,
        state=(
            ApprovalState.PENDING if approved_by is None else ApprovalState.APPROVED
        ).value,
        decided_at=None if approved_by is None else tx.now,
        decided_by=approved_by,
        commit=new.commit,
        main=new.main,
        record=new.record,
        manifest_sha256=new.manifest_sha256,
        nixos_options=msgspec.json.encode(new.nixos_options),
        policy=msgspec.json.encode(new.policy),
        description=new.description,
        proposed_by=new.proposed_by,
        author=new.author,
        message=new.message,
        created_at=tx.now,
    ).execute(tx.db)
    tx.emit(new.agent, ApprovalCreated(approval=number))


def get(tx: Tx | Reader, number: int) -> ApprovalRow:
    """Return an approval.

    Raises:
        HiveError: ``not_found``.
    """
    query = ApprovalModel.select().where(ApprovalModel.id == number)
    rows = list(query.execute(tx.db))
    if not rows:
        raise HiveError(ErrorCode.NOT_FOUND, f"There is no approval {number}.")
    return ApprovalRow.of(rows[0])


def pending(tx: Tx | Reader, agent: str | None = None) -> tuple[ApprovalRow, ...]:
    """Return the pending approvals of one agent or of all."""
    query = ApprovalModel.select().where(
        ApprovalModel.state == ApprovalState.PENDING.value
    )
    if agent is not None:
        query = query.where(ApprovalModel.agent == agent)
    return tuple(ApprovalRow.of(row) for row in query.execute(tx.db))


def decide(
    tx: Tx,
    number: int,
    state: ApprovalState,
    *,
    by: str,
    reason: str | None = None,
    operation: int | None = None,
    comments: tuple[QuotedComment, ...] = (),
) -> None:
    """Record the operator's (or the hive's) decision, and the operation it queued."""
    ApprovalModel.update(
        state=state.value,
        decided_at=tx.now,
        decided_by=by,
        reason=reason,
        operation=operation,
        comments=msgspec.json.encode(comments) if comments else None,
    ).where(ApprovalModel.id == number).execute(tx.db)
    _changed(tx, number, state)


def supersede_all(tx: Tx, agent: str, reason: str) -> None:
    """Close an agent's pending approvals, with a reason for the proposer."""
    for waiting in pending(tx, agent):
        decide(tx, waiting.id, ApprovalState.SUPERSEDED, by="system", reason=reason)


def progress(
    tx: Tx,
    number: int,
    state: ApprovalState,
    *,
    reason: str | None = None,
    operation: int | None = None,
) -> None:
    """Record the progress of an approved proposal."""
    values: dict[str, object] = {"state": state.value}
    if reason is not None:
        values["reason"] = reason
    if operation is not None:
        values["operation"] = operation
    ApprovalModel.update(**values).where(ApprovalModel.id == number).execute(tx.db)
    _changed(tx, number, state)


def _changed(tx: Tx, number: int, state: ApprovalState) -> None:
    row = get(tx, number)
    changed = ApprovalChanged(
        approval=number,
        state=state,
        commit=row.commit,
        manifest=row.manifest_sha256,
        reason=row.reason,
    )
    tx.emit(row.agent, changed)


def search(reader: Reader, asked: ApprovalsParams) -> tuple[ApprovalRow, ...]:
    """Return approvals, newest first."""
    query = ApprovalModel.select().order_by(ApprovalModel.id.desc()).limit(asked.limit)
    if asked.state is not None:
        query = query.where(ApprovalModel.state == asked.state.value)
    if asked.agent is not None:
        query = query.where(ApprovalModel.agent == asked.agent)
    if asked.before is not None:
        query = query.where(ApprovalModel.id < asked.before)
    return tuple(ApprovalRow.of(row) for row in query.execute(reader.db))
