"""An agent's unfinished messages, for the operator: list, drop, move to the end.

A message that is moved to the end gets a rank below all priorities, after those moved
before it. The holder of a message need not be consulted: the end of its turn only
affects messages that it still holds.
"""

from typing import Any, Final

from pyglue.api.events import MessageTaken
from pyglue.api.queue import QueuedMessage
from pyglue.errors import ErrorCode, HiveError
from pyglue.store.database import Reader, Tx
from pyglue.store.messages import ORDER, shown

_REASONS: Final = 5
"""The number of latest failures listed for each message."""
_COLUMNS: Final = (
    "id, sender, recipient, body, kind, priority, sent_at, reply_to, hop, deliveries, "
    "state, turn, failures"
)
_OPEN: Final = "recipient = ? AND state IN ('waiting', 'held')"
"""Selects one message, by the index of its ID."""
_PARTS: Final = tuple(
    f"message INDEXED BY message_{state} WHERE recipient = ? AND state = '{state}'"
    for state in ("held", "waiting")
)
"""Select all of an agent's, without its finished ones, which may be years of them."""


def listing(
    reader: Reader, agent: str, *, limit: int, clip: int | None
) -> tuple[QueuedMessage, ...]:
    """Return leased, then queued messages, each in the order of delivery."""
    rows: list[tuple[Any, ...]] = []
    for part in _PARTS:
        rows += reader.execute(
            f"SELECT {_COLUMNS} FROM {part} ORDER BY priority, id LIMIT ?",
            agent,
            limit - len(rows),
        ).fetchall()
    found = []
    for row in rows:
        message = shown(row, clip)
        found.append(
            QueuedMessage(
                **{name: getattr(message, name) for name in message.__struct_fields__},
                leased=row[10] == "held",
                turn=row[11],
                deliveries=row[9],
                failures=row[12],
                reasons=_reasons(reader, row[0]),
                last=row[5] >= len(ORDER),
            )
        )
    return tuple(found)


def count(reader: Reader, agent: str) -> int:
    """Return the number of the agent's unfinished messages."""
    counts = (
        reader.execute(f"SELECT count(*) FROM {part}", agent).fetchone()[0]
        for part in _PARTS
    )
    return sum(map(int, counts))


def _reasons(reader: Reader, number: int) -> tuple[str, ...]:
    rows = reader.execute(
        "SELECT reason FROM message_failure WHERE message = ? "
        "ORDER BY at DESC, rowid DESC LIMIT ?",
        number,
        _REASONS,
    )
    return tuple(str(reason) for (reason,) in rows.fetchall())


def find(reader: Reader | Tx, agent: str, number: int) -> tuple[bool, int | None, str]:
    """Return whether a message is leased, by which turn, and its sender.

    Raises:
        HiveError: ``not_found`` if it is not in this queue.
    """
    row = reader.execute(
        f"SELECT state, turn, sender FROM message WHERE id = ? AND {_OPEN}",
        number,
        agent,
    ).fetchone()
    if row is None:
        raise HiveError(
            ErrorCode.NOT_FOUND,
            f"Message {number} is not in the queue of {agent}: it is done, or was "
            "never sent to it.",
        )
    return row[0] == "held", row[1], str(row[2])


def of_turn(tx: Tx, agent: str, turn: int) -> tuple[int, ...]:
    """Return the messages leased by a turn."""
    rows = tx.execute(
        f"SELECT id FROM {_PARTS[0]} AND turn = ?",
        agent,
        turn,
    )
    return tuple(int(number) for (number,) in rows.fetchall())


def drop(tx: Tx, agent: str, number: int) -> None:
    """Drop a message, which is then never delivered."""
    tx.execute(
        "UPDATE message SET state = 'dead', done_at = ?, holder = NULL, turn = NULL "
        f"WHERE id = ? AND {_OPEN}",
        tx.now,
        number,
        agent,
    )
    tx.emit(agent, MessageTaken(id=number))


def move_to_end(tx: Tx, agent: str, number: int) -> None:
    """Move a message behind all others; a delivered one, once it is queued again."""
    behind = max(
        tx.execute(
            f"SELECT coalesce(max(priority), 0) + 1 FROM {part}", agent
        ).fetchone()[0]
        for part in _PARTS
    )
    tx.execute(
        f"UPDATE message SET priority = ? WHERE id = ? AND {_OPEN}",
        max(behind, len(ORDER)),
        number,
        agent,
    )
    tx.emit(agent, MessageTaken(id=number))
