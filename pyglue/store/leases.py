"""Leases: what becomes of the messages that a connection or a turn has taken.

A lease has no timer: it ends with the turn, the connection or the process. Then the
message is done, waits again, or is dead after too many turns that failed over it.
"""

import json
from dataclasses import dataclass
from typing import Final

from pyglue.api.messages import Message
from pyglue.store.database import Tx
from pyglue.store.messages import COLUMNS, message_of

GONE: Final = "The agent's harness went away during the turn."
RESTARTED: Final = "hived stopped during the turn."
UNRECORDED: Final = "The end of the turn could not be recorded."


@dataclass(frozen=True)
class Failure:
    """A turn over a message that failed; ``counted`` if the message was alone in it."""

    at: float
    turn: int | None
    reason: str
    counted: bool


@dataclass(frozen=True)
class DeadLetter:
    """A message that is given up, and why."""

    message: Message
    deliveries: int
    failures: int
    why: tuple[Failure, ...]


def join_turn(tx: Tx, agent: str, holder: str, turn: int) -> int:
    """Put all that ``holder`` took outside a turn into ``turn``; return the count."""
    cursor = tx.execute(
        "UPDATE message SET turn = ? WHERE recipient = ? AND state = 'held' AND "
        "holder = ? AND turn IS NULL",
        turn,
        agent,
        holder,
    )
    return int(cursor.rowcount)


def release_unseen(
    tx: Tx, agent: str, holder: str, seen: tuple[int, ...] | None
) -> None:
    """What ``holder`` took and never got to see waits again, for no fault of its own.

    An answer that crosses with its own cancellation is one.
    """
    if seen is None:
        return
    marks = ", ".join("?" * len(seen))
    tx.execute(
        "UPDATE message SET state = 'waiting', holder = NULL "
        "WHERE recipient = ? AND state = 'held' AND holder = ? AND turn IS NULL "
        f"AND id NOT IN ({marks})",
        agent,
        holder,
        *seen,
    )


def release_unheard(tx: Tx, agent: str, turn: int, heard: tuple[int, ...]) -> int:
    """Queue again what was to reach ``turn`` while it ran, and that nobody ``heard``.

    It is not to blame for how that ends. Return the count.
    """
    cursor = tx.execute(
        "UPDATE message INDEXED BY message_held "
        "SET state = 'waiting', holder = NULL, turn = NULL, boundary = 0 "
        "WHERE recipient = ? AND state = 'held' AND turn = ? AND boundary "
        "AND id NOT IN (SELECT value FROM json_each(?))",
        agent,
        turn,
        json.dumps(heard),
    )
    return int(cursor.rowcount)


def finish_turn(tx: Tx, agent: str, turn: int) -> None:
    """The turn ended well: its messages are done."""
    tx.execute(
        "UPDATE message INDEXED BY message_held "
        "SET state = 'done', done_at = ?, holder = NULL "
        "WHERE recipient = ? AND state = 'held' AND turn = ?",
        tx.now,
        agent,
        turn,
    )


def finish_taken(
    tx: Tx, agent: str, holder: str, numbers: tuple[int, ...] | None
) -> int:
    """What ``holder`` took outside a turn is done: these, or all; return the count."""
    cursor = tx.execute(
        "UPDATE message SET state = 'done', done_at = ?, holder = NULL "
        "WHERE recipient = ? AND state = 'held' AND holder = ? AND turn IS NULL "
        "AND (? OR id IN (SELECT value FROM json_each(?)))",
        tx.now,
        agent,
        holder,
        numbers is None,
        json.dumps(numbers or ()),
    )
    return int(cursor.rowcount)


def release_turn(tx: Tx, agent: str, turn: int, *, fault: str | None) -> None:
    """The turn did not end well: its messages wait again.

    ``fault`` is why, if they may be the cause; a limit, a login or a cancel is not
    their fault.
    """
    if fault is not None:
        _blame(tx, "AND turn = ?", (agent, turn), fault)
    tx.execute(
        "UPDATE message INDEXED BY message_held "
        "SET state = 'waiting', holder = NULL, turn = NULL "
        "WHERE recipient = ? AND state = 'held' AND turn = ?",
        agent,
        turn,
    )


def release_holder(
    tx: Tx, agent: str, holder: str, *, begun: bool, fault: str | None
) -> int:
    """The connection is gone: what it held waits again; return the count.

    ``fault`` as for ``release_turn``; with ``begun`` only for what a turn had begun
    with: nobody has seen the rest.
    """
    if fault is not None:
        which = "AND holder = ? AND (turn IS NOT NULL OR NOT ?)"
        _blame(tx, which, (agent, holder, begun), fault)
    cursor = tx.execute(
        "UPDATE message SET state = 'waiting', holder = NULL, turn = NULL "
        "WHERE recipient = ? AND state = 'held' AND holder = ?",
        agent,
        holder,
    )
    return int(cursor.rowcount)


def _blame(tx: Tx, which: str, values: tuple[object, ...], reason: str) -> None:
    """Note a failure, and count it against a message that was alone.

    Of several nobody knows which it was: from now on each goes alone.
    """
    held = (
        "FROM message INDEXED BY message_held "
        f"WHERE recipient = ? AND state = 'held' {which}"
    )
    found = tx.execute(f"SELECT count(*) {held}", *values).fetchone()
    single = found[0] == 1
    tx.execute(
        "INSERT INTO message_failure (message, at, turn, reason, counted) "
        f"SELECT id, ?, turn, ?, alone OR ? {held}",
        *(tx.now, reason, single),
        *values,
    )
    tx.execute(
        "UPDATE message INDEXED BY message_held "
        "SET failures = failures + (alone OR ?), alone = 1 "
        f"WHERE recipient = ? AND state = 'held' {which}",
        single,
        *values,
    )


def release_all(tx: Tx) -> int:
    """hived starts: nobody holds anything any more; return the count.

    What a turn had begun with goes alone from now on, and is not to blame: hived may
    have ended for any reason.
    """
    tx.execute(
        "INSERT INTO message_failure (message, at, turn, reason, counted) "
        "SELECT id, ?, turn, ?, 0 FROM message "
        "WHERE state = 'held' AND turn IS NOT NULL",
        tx.now,
        RESTARTED,
    )
    cursor = tx.execute(
        "UPDATE message SET state = 'waiting', holder = NULL, turn = NULL, "
        "alone = alone OR turn IS NOT NULL WHERE state = 'held'"
    )
    return int(cursor.rowcount)


_ENDED: Final = (
    "state = 'held' AND turn IN (SELECT id FROM turn WHERE ended_at IS NOT NULL)"
)
"""Held by a turn whose end took no messages along: nobody will end them."""


def release_ended(tx: Tx, agent: str) -> None:
    """What a turn that has ended still holds is queued again.

    It goes alone from now on, as after a restart, and is not to blame.
    """
    tx.execute(
        "INSERT INTO message_failure (message, at, turn, reason, counted) "
        f"SELECT id, ?, turn, ?, 0 FROM message WHERE recipient = ? AND {_ENDED}",
        tx.now,
        UNRECORDED,
        agent,
    )
    tx.execute(
        "UPDATE message SET state = 'waiting', holder = NULL, turn = NULL, alone = 1 "
        f"WHERE recipient = ? AND {_ENDED}",
        agent,
    )


def release_one(tx: Tx, number: int, *, holder: str | None, turn: int | None) -> None:
    """Queue a message again that this holder and turn hold, and nobody ends.

    If a turn had begun with it, it goes alone from now on, and is not to blame.
    """
    which = "WHERE id = ? AND state = 'held' AND holder IS ? AND turn IS ?"
    values = (number, holder, turn)
    if turn is not None:
        tx.execute(
            "INSERT INTO message_failure (message, at, turn, reason, counted) "
            f"SELECT id, ?, turn, ?, 0 FROM message {which}",
            *(tx.now, UNRECORDED),
            *values,
        )
    tx.execute(
        "UPDATE message SET state = 'waiting', holder = NULL, turn = NULL, "
        f"alone = alone OR turn IS NOT NULL {which}",
        *values,
    )


def give_up(tx: Tx, number: int) -> None:
    """Give up a message that nobody will ever get."""
    tx.execute(
        "UPDATE message SET state = 'dead', done_at = ?, holder = NULL, turn = NULL "
        "WHERE id = ? AND state IN ('waiting', 'held')",
        tx.now,
        number,
    )


def explain(tx: Tx, agent: str, reason: str) -> None:
    """Say why the newest turn of ``agent`` was lost, now that it is known."""
    tx.execute(
        "UPDATE message_failure SET reason = ? WHERE reason = ? AND "
        "turn = (SELECT max(id) FROM turn WHERE agent = ?)",
        reason,
        GONE,
        agent,
    )


def bury(tx: Tx, recipient: str, failures_max: int) -> tuple[DeadLetter, ...]:
    """Take out of the way what turns failed or died over too often; return it."""
    rows = tx.execute(
        "UPDATE message INDEXED BY message_waiting SET state = 'dead', done_at = ? "
        "WHERE recipient = ? AND state = 'waiting' AND failures >= ? "
        f"RETURNING {COLUMNS}, failures",
        tx.now,
        recipient,
        failures_max,
    ).fetchall()
    return tuple(
        DeadLetter(message_of(row), row[9], row[10], _failures(tx, row[0]))
        for row in rows
    )


def _failures(tx: Tx, number: int) -> tuple[Failure, ...]:
    rows = tx.execute(
        "SELECT at, turn, reason, counted FROM message_failure WHERE message = ? "
        "ORDER BY at, rowid",
        number,
    )
    return tuple(
        Failure(at, turn, reason, bool(counted))
        for at, turn, reason, counted in rows.fetchall()
    )
