"""The events inside an agent's turns, stored and read by page.

History is the part of the event log that ``event_history`` indexes. The numbers are
those of the stream, so a reader that continues with the stream after a page's ``seq``
sees each event once. Triggers maintain the size of each agent's history.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from pyglue.api.events import Event
from pyglue.store.database import Reader, Tx

HISTORY: Final = "kind IN ('turn.started', 'turn.event', 'turn.ended')"
"""As in migration 2: SQLite uses the index only for exactly the same expression."""
PAGE_BYTES: Final = 4 * 1024 * 1024
"""The most event data in one page, so that it fits into one answer."""
_ALL: Final = 2**62


@dataclass(frozen=True)
class Page:
    """Events, oldest first; ``more`` follow in the requested direction.

    ``is_cut``: some between ``after`` and the first have been deleted.
    """

    events: tuple[Event, ...]
    more: bool
    is_cut: bool


def page(
    reader: Reader, agent: str, *, before: int | None, after: int | None, limit: int
) -> Page:
    """Return the first events after ``after``, or the last ones before ``before``."""
    forward = after is not None
    order = "ASC" if forward else "DESC"
    rows = reader.execute(
        f"SELECT seq, at, kind, agent, data FROM event WHERE agent = ? AND {HISTORY} "
        f"AND seq > ? AND seq < ? ORDER BY seq {order} LIMIT ?",
        agent,
        after or 0,
        before or 2**62,
        limit + 1,
    )
    events: list[Event] = []
    size = 0
    more = False
    for seq, at, kind, who, raw in rows:
        size += len(raw)
        if len(events) == limit or (events and size > PAGE_BYTES):
            more = True
            break
        data = msgspec.Raw(raw)
        events.append(Event(seq=seq, at=at, kind=kind, agent=who, data=data))
    if not forward:
        events.reverse()
    cut = after is not None and after < _floor(reader, agent)
    return Page(tuple(events), more, cut)


def sizes(reader: Reader) -> dict[str, int]:
    """Return the size of each agent's history in bytes."""
    rows = reader.execute("SELECT agent, bytes FROM history_size")
    return dict(rows.fetchall())


def seq_before(reader: Reader, at: float) -> int:
    """Return the number of the last event before ``at``; both only grow."""
    low, high = reader.execute("SELECT min(seq), max(seq) FROM event").fetchone()
    if low is None:
        return 0
    low -= 1
    while low < high:  # everything up to low is before; nothing after high is
        middle = (low + high + 1) // 2
        row = reader.execute(
            "SELECT seq, at FROM event WHERE seq <= ? ORDER BY seq DESC LIMIT 1", middle
        ).fetchone()
        if row is None or row[1] < at:
            low = middle
        else:
            high = row[0] - 1
    return int(low)


def prune_age(tx: Tx, *, history: int, others: int, most: int) -> int:
    """Delete up to ``most`` events up to these numbers; return how many."""
    gone = 0
    for name, bound, kinds in (
        ("history", history, HISTORY),
        ("bus", others, f"NOT ({HISTORY})"),
    ):
        cursor = tx.execute(
            f"DELETE FROM event WHERE seq IN (SELECT seq FROM event WHERE seq <= ? "
            f"AND {kinds} ORDER BY seq LIMIT ?)",
            bound,
            most,
        )
        if cursor.rowcount > 0:
            gone += int(cursor.rowcount)
            _raise_floor(tx, "bus", bound)
            _raise_floor(tx, name, bound)
    return gone


def prune_size(tx: Tx, agent: str, *, excess: int, most: int) -> int:
    """Delete an agent's oldest events, at least ``excess`` bytes, at most ``most``."""
    rows = tx.execute(
        f"SELECT seq, length(data) FROM event WHERE agent = ? AND {HISTORY} "
        "ORDER BY seq LIMIT ?",
        agent,
        most,
    )
    last = freed = 0
    for seq, size in rows.fetchall():
        last, freed = seq, freed + size
        if freed >= excess:
            break
    tx.execute(
        f"DELETE FROM event WHERE agent = ? AND {HISTORY} AND seq <= ?", agent, last
    )
    tx.execute(
        "UPDATE history_size SET floor = max(floor, ?) WHERE agent = ?", last, agent
    )
    _raise_floor(tx, "bus", last)
    return freed


def forget(tx: Tx, agent: str) -> None:
    """Delete the history of a name that is gone for good; its floor stays."""
    prune_size(tx, agent, excess=_ALL, most=_ALL)


def _raise_floor(tx: Tx, name: str, seq: int) -> None:
    tx.execute(
        "UPDATE event_floor SET seq = max(seq, ?) WHERE name = ?",
        seq,
        name,
    )


def _floor(reader: Reader, agent: str) -> int:
    row = reader.execute(
        "SELECT max(seq) FROM (SELECT seq FROM event_floor WHERE name = 'history' "
        "UNION SELECT floor FROM history_size WHERE agent = ?)",
        agent,
    ).fetchone()
    return int(row[0] or 0)
