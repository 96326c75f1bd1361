"""The arguments of functions that write or read the store."""

from typing import Any

import msgspec
from peewee import SqliteDatabase

from pyglue.api.events import Event, Happening


class Tx:
    """The argument of a write function: the database and the outbox."""

    def __init__(self, database: SqliteDatabase, now: float) -> None:
        self.db = database
        self.now = now
        self.events: list[Event] = []

    def execute(self, sql: str, *values: object) -> Any:  # noqa: ANN401
        """Run one statement and return its cursor."""
        return self.db.execute_sql(sql, values)

    def emit(self, agent: str | None, data: Happening) -> None:
        """Add an event to this transaction; it is published after the commit."""
        kind, encoded = data.KIND, msgspec.json.encode(data)
        cursor = self.execute(
            "INSERT INTO event (at, kind, agent, data) VALUES (?, ?, ?, ?)",
            self.now,
            kind,
            agent,
            encoded,
        )
        seq, raw = cursor.lastrowid, msgspec.Raw(encoded)
        self.events.append(
            Event(seq=seq, at=self.now, kind=kind, agent=agent, data=raw)
        )


class Reader:
    """The argument of a read function."""

    def __init__(self, database: SqliteDatabase) -> None:
        self.db = database

    def execute(self, sql: str, *values: object) -> Any:  # noqa: ANN401
        """Run one query and return its cursor."""
        return self.db.execute_sql(sql, values)
