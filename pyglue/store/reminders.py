"""Reminders that agents set themselves."""

from dataclasses import dataclass
from typing import Any, Final

from pyglue.errors import ErrorCode, HiveError
from pyglue.store.database import Reader, Tx

_SELECT: Final = "SELECT id, agent, text, due_at, repeat_s, hop, message FROM reminder "


@dataclass(frozen=True)
class Reminder:
    """A pending reminder; ``message`` is its last delivery."""

    id: int
    agent: str
    text: str
    due_at: float
    repeat_s: int | None
    hop: int
    message: int | None


def _reminder(row: tuple[Any, ...]) -> Reminder:
    return Reminder(*row)


def insert(
    tx: Tx, *, agent: str, text: str, due_at: float, repeat_s: int | None, hop: int
) -> int:
    """Store a reminder and return its ID."""
    cursor = tx.execute(
        "INSERT INTO reminder (agent, text, due_at, repeat_s, hop, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        agent,
        text,
        due_at,
        repeat_s,
        hop,
        tx.now,
    )
    return int(cursor.lastrowid)


def cancel(tx: Tx, agent: str, number: int) -> None:
    """Remove a reminder of ``agent``.

    Raises:
        HiveError: ``not_found``.
    """
    cursor = tx.execute(
        "DELETE FROM reminder WHERE id = ? AND agent = ?", number, agent
    )
    if cursor.rowcount == 0:
        raise HiveError(
            ErrorCode.NOT_FOUND,
            f"You have no reminder {number}; it may already have been delivered. "
            "open_threads lists pending reminders.",
        )


def of_agent(reader: Reader | Tx, agent: str) -> tuple[Reminder, ...]:
    """Return the pending reminders of an agent, in order of time."""
    rows = reader.execute(_SELECT + "WHERE agent = ? ORDER BY due_at, id", agent)
    return tuple(map(_reminder, rows.fetchall()))


def remove_of(tx: Tx, agent: str) -> None:
    """Remove all reminders of an agent."""
    tx.execute("DELETE FROM reminder WHERE agent = ?", agent)


def due(tx: Tx) -> tuple[Reminder, ...]:
    """Return due reminders, oldest first."""
    rows = tx.execute(
        _SELECT + "WHERE due_at <= ? ORDER BY due_at, id",
        tx.now,
    )
    return tuple(map(_reminder, rows.fetchall()))


def next_due(tx: Tx) -> float | None:
    """Return when the next reminder is due."""
    found = tx.execute("SELECT min(due_at) FROM reminder").fetchone()[0]
    return None if found is None else float(found)


def again(tx: Tx, number: int, due_at: float, message: int | None) -> None:
    """Move a reminder to its next time."""
    tx.execute(
        "UPDATE reminder SET due_at = ?, message = coalesce(?, message) WHERE id = ?",
        due_at,
        message,
        number,
    )


def remove(tx: Tx, number: int) -> None:
    """Remove a delivered reminder."""
    tx.execute("DELETE FROM reminder WHERE id = ?", number)
