"""When the schedules of agents are due next; their texts are in the records."""

from dataclasses import dataclass
from typing import Final

from pyglue.store.database import Tx

_COLUMNS: Final = "agent, name, at, zone, set_at, due_at, try_at, message"


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """One schedule, as it was when ``due_at`` was set.

    ``due_at`` None: it is never due again. ``try_at`` is later if sending failed;
    ``message`` is its last delivery.
    """

    agent: str
    name: str
    at: str
    zone: str
    set_at: float
    due_at: float | None
    try_at: float | None
    message: int | None = None

    @property
    def key(self) -> tuple[str, str]:
        """The key that identifies it."""
        return self.agent, self.name


def every(tx: Tx) -> tuple[Schedule, ...]:
    """Return all of them."""
    rows = tx.execute(f"SELECT {_COLUMNS} FROM schedule").fetchall()
    names = _COLUMNS.split(", ")
    return tuple(Schedule(**dict(zip(names, row, strict=True))) for row in rows)


def put(tx: Tx, row: Schedule) -> None:
    """Store a schedule's next time."""
    tx.execute(
        f"REPLACE INTO schedule ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        *(row.agent, row.name, row.at, row.zone),
        *(row.set_at, row.due_at, row.try_at, row.message),
    )


def remove(tx: Tx, agent: str, name: str) -> None:
    """Remove a schedule that its agent no longer has."""
    tx.execute("DELETE FROM schedule WHERE agent = ? AND name = ?", agent, name)
