"""Kept state of destroyed agents: the last deployment; files stay in place."""

from dataclasses import dataclass

from pyglue.api.event_values import AgentChange
from pyglue.api.events import AgentChanged
from pyglue.errors import ErrorCode, HiveError
from pyglue.manifest.record import decode
from pyglue.store.database import Reader, Tx

_SELECT = (
    'SELECT name, destroyed_at, "by", description, record, "commit", '
    "approval FROM kept "
)


@dataclass(frozen=True)
class Kept:
    """A row; ``record`` is the pinned record's bytes, None if nothing ever ran."""

    name: str
    destroyed_at: float
    by: str
    description: str
    record: bytes | None
    commit: str | None
    approval: int | None


def keep(tx: Tx, name: str, *, by: str) -> None:
    """Turn an agent's row into kept state; idempotent."""
    row = tx.execute(
        'SELECT record, "commit", approval FROM agent WHERE name = ?', name
    ).fetchone()
    if row is None:
        return
    record = None if row[0] is None else bytes(row[0])
    tx.execute(
        'INSERT INTO kept (name, destroyed_at, "by", description, record, "commit", '
        "approval) VALUES (?, ?, ?, ?, ?, ?, ?)",
        name,
        tx.now,
        by,
        "" if record is None else decode(record).typed.description,
        record,
        row[1],
        row[2],
    )
    tx.execute("DELETE FROM agent WHERE name = ?", name)
    tx.emit(name, AgentChanged(what=AgentChange.DESTROYED))


def bring_back(tx: Tx, name: str, role: str) -> None:
    """Make it an agent again, stopped, with its last deployment; idempotent."""
    found = get(tx, name)
    if found is None:
        return
    tx.execute(
        'INSERT INTO agent (name, role, wanted, created_at, approval, "commit", '
        "record) VALUES (?, ?, 0, ?, ?, ?, ?)",
        name,
        role,
        tx.now,
        found.approval,
        found.commit,
        found.record,
    )
    remove(tx, name)


def get(reader: Reader | Tx, name: str) -> Kept | None:
    """Return the kept state of a name; None if there is none."""
    row = reader.execute(_SELECT + "WHERE name = ?", name).fetchone()
    return None if row is None else Kept(*row)


def all_kept(reader: Reader) -> tuple[Kept, ...]:
    """Return all kept state, by name."""
    rows = reader.execute(_SELECT + "ORDER BY name").fetchall()
    return tuple(Kept(*row) for row in rows)


def remove(tx: Tx, name: str) -> None:
    """Delete kept state that was restored or purged; idempotent."""
    if tx.execute("DELETE FROM kept WHERE name = ?", name).rowcount:
        tx.emit(name, AgentChanged(what=AgentChange.KEPT))


def insert(tx: Tx, name: str, *, by: str, description: str, commit: str | None) -> None:
    """Keep an agent that never ran here: imported, or found on disk."""
    tx.execute(
        'INSERT INTO kept (name, destroyed_at, "by", description, "commit") '
        "VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        name,
        tx.now,
        by,
        description,
        commit,
    )
    tx.emit(name, AgentChanged(what=AgentChange.KEPT))


def require(reader: Reader | Tx, name: str) -> Kept:
    """Return the kept state of a name.

    Raises:
        HiveError: ``not_found`` with the existing names.
    """
    found = get(reader, name)
    if found is None:
        rows = reader.execute("SELECT name FROM kept ORDER BY name").fetchall()
        known = ", ".join(row[0] for row in rows) or "none"
        raise HiveError(
            ErrorCode.NOT_FOUND,
            f"There is no kept state of {name!r}. Destroyed agents: {known[:400]}.",
        )
    return found
