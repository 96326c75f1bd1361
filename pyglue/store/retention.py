"""Deletes rows that are no longer needed, after their retention time.

Each step deletes a few rows, so that no send has to wait for long. These stay as a
record: approvals, the audit log, and the counts and metrics of turns.
"""

from dataclasses import dataclass
from typing import Final

from pyglue.api.approvals import ApprovalState
from pyglue.store.database import Reader, Tx

DAY_S: Final = 86400.0
BUDGET_S: Final = 2 * DAY_S
"""How long turns and usage stay in any case, because daily limits count them."""
_CLOSED: Final = (
    ApprovalState.DENIED,
    ApprovalState.CHANGES_REQUESTED,
    ApprovalState.SUPERSEDED,
    ApprovalState.WITHDRAWN,
    ApprovalState.EXPIRED,
)


EMPTY: Final = b'{"manifest":{}}'
"""The record of an approval whose manifest has been deleted."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows with the time in ``column`` that decides about their deletion."""

    name: str
    column: str
    least_s: float = 0.0
    only: str = "1"


TABLES: Final = (
    Table(name="message", column="done_at"),
    Table(name="question", column="answered_at"),
    Table(name="operation", column="finished_at"),
    Table(name="turn", column="ended_at", least_s=BUDGET_S),
    Table(name="usage", column="at", least_s=BUDGET_S, only="settled = 1"),
)
"""The tables to which ``messages_days`` applies."""


def prune(tx: Tx, table: Table, *, kept_s: float, most: int) -> int:
    """Delete up to ``most`` older rows; return how many."""
    before = tx.now - max(kept_s, table.least_s)
    cursor = tx.execute(
        f"DELETE FROM {table.name} WHERE id IN (SELECT id FROM {table.name} "
        f"WHERE {table.column} < ? AND {table.only} LIMIT ?)",
        before,
        most,
    )
    return max(0, int(cursor.rowcount))


def prune_build_logs(tx: Tx, *, kept_s: float, most: int) -> int:
    """Empty up to ``most`` logs of older builds; return how many."""
    cursor = tx.execute(
        "UPDATE approval_system SET build_log = '' WHERE approval IN (SELECT approval "
        "FROM approval_system JOIN approval ON approval.id = approval_system.approval "
        "WHERE build_log != '' AND decided_at < ? AND state NOT IN (?, ?) LIMIT ?)",
        tx.now - kept_s,
        ApprovalState.APPROVED.value,
        ApprovalState.BUILDING.value,
        most,
    )
    return max(0, int(cursor.rowcount))


def prune_records(tx: Tx, *, kept_s: float, most: int) -> int:
    """Empty manifests and comments of up to ``most`` such approvals; hashes stay."""
    marks = ", ".join("?" * len(_CLOSED))
    cursor = tx.execute(
        "UPDATE approval SET record = ?, nixos_options = ?, comments = NULL "
        "WHERE id IN (SELECT id "
        f"FROM approval WHERE state IN ({marks}) AND decided_at < ? AND record != ? "
        "LIMIT ?)",
        EMPTY,
        b"[]",
        *(state.value for state in _CLOSED),
        tx.now - kept_s,
        EMPTY,
        most,
    )
    return max(0, int(cursor.rowcount))


def closed_approvals(reader: Reader, before: float) -> dict[str, tuple[int, ...]]:
    """Return, by agent, the proposals closed before ``before`` without approval."""
    marks = ", ".join("?" * len(_CLOSED))
    rows = reader.execute(
        f"SELECT agent, id FROM approval WHERE state IN ({marks}) AND decided_at < ?",
        *(state.value for state in _CLOSED),
        before,
    )
    found: dict[str, list[int]] = {}
    for agent, number in rows.fetchall():
        found.setdefault(agent, []).append(number)
    return {agent: tuple(numbers) for agent, numbers in found.items()}
