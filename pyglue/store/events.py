"""The event log: what subscribers replay."""

import msgspec

from pyglue.api.events import Event
from pyglue.store.database import Reader


def last_seq(reader: Reader) -> int:
    """Return the newest event's number, 0 if there is none."""
    row = reader.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event'")
    found = row.fetchone()
    return 0 if found is None else int(found[0])


def since(reader: Reader, seq: int, limit: int) -> tuple[Event, ...]:
    """Return up to ``limit`` events after ``seq``, oldest first."""
    rows = reader.execute(
        "SELECT seq, at, kind, agent, data FROM event WHERE seq > ? "
        "ORDER BY seq LIMIT ?",
        seq,
        limit,
    )
    return tuple(
        Event(seq=row[0], at=row[1], kind=row[2], agent=row[3], data=_data(row[4]))
        for row in rows.fetchall()
    )


def data_of(reader: Reader, kind: str) -> tuple[dict[str, object], ...]:
    """Return the data of every kept event of a kind, oldest first."""
    rows = reader.execute("SELECT data FROM event WHERE kind = ? ORDER BY seq", kind)
    return tuple(_data(row[0]) for row in rows.fetchall())


def oldest_seq(reader: Reader) -> int:
    """Return the number from which on every event is kept."""
    row = reader.execute("SELECT seq FROM event_floor WHERE name = 'bus'").fetchone()
    return int(row[0]) + 1


def _data(raw: bytes) -> dict[str, object]:
    return msgspec.json.decode(raw, type=dict[str, object])
