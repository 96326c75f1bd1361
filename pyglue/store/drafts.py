"""Drafts: names with a repository but without an agent."""

from dataclasses import dataclass

from pyglue.api.event_values import AgentChange
from pyglue.api.events import AgentChanged
from pyglue.store.database import Reader, Tx

_SELECT = 'SELECT name, created_at, "by", description FROM draft '


@dataclass(frozen=True)
class Draft:
    """A row."""

    name: str
    created_at: float
    by: str
    description: str


def insert(tx: Tx, name: str, *, by: str, description: str) -> None:
    """Take a name for a draft; the caller has checked that it is free."""
    tx.execute(
        'INSERT INTO draft (name, created_at, "by", description) VALUES (?, ?, ?, ?)',
        name,
        tx.now,
        by,
        description,
    )
    tx.emit(name, AgentChanged(what=AgentChange.DRAFT))


def get(reader: Reader | Tx, name: str) -> Draft | None:
    """Return a draft; None if there is none of that name."""
    row = reader.execute(_SELECT + "WHERE name = ?", name).fetchone()
    return None if row is None else Draft(*row)


def all_drafts(reader: Reader | Tx) -> tuple[Draft, ...]:
    """Return every draft by name."""
    rows = reader.execute(_SELECT + "ORDER BY name").fetchall()
    return tuple(Draft(*row) for row in rows)


def remove(tx: Tx, name: str) -> None:
    """Delete a draft that became an agent or was discarded; idempotent."""
    if tx.execute("DELETE FROM draft WHERE name = ?", name).rowcount:
        tx.emit(name, AgentChanged(what=AgentChange.DRAFT))
