"""The event log, which subscribers replay."""

import msgspec

from pyglue.api.common import data_as
from pyglue.api.events import Event, NotificationPublished
from pyglue.store.database import Reader


def last_seq(reader: Reader) -> int:
    """Return the number of the latest event; 0 if there is none."""
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
        Event(seq=seq, at=at, kind=kind, agent=agent, data=msgspec.Raw(data))
        for seq, at, kind, agent, data in rows.fetchall()
    )


def keys_of_notifications(reader: Reader) -> tuple[str, ...]:
    """Return the keys of all kept notifications, oldest first."""
    rows = reader.execute(
        "SELECT data FROM event WHERE kind = ? ORDER BY seq", NotificationPublished.KIND
    )
    found = (data_as(NotificationPublished, data) for (data,) in rows.fetchall())
    return tuple(one.key for one in found if one is not None and one.key is not None)


def oldest_seq(reader: Reader) -> int:
    """Return the number after which no event has been deleted."""
    row = reader.execute("SELECT seq FROM event_floor WHERE name = 'bus'").fetchone()
    return int(row[0]) + 1
