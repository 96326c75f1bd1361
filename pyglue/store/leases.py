"""Leases: messages that a connection or a turn has taken, and their outcome.

A lease has no timer: it ends with the turn, the connection or the process. Then the
message is done, queued again, or dead after too many failed turns.
"""

import json
from dataclasses import dataclass
from typing import Final

from pyglue.api.messages import Message
from pyglue.store.database import Tx
from pyglue.store.messages import COLUMNS, message_of

GONE: Final = "The agent's harness disconnected during the turn."
RESTARTED: Final = "hived stopped during the turn."
UNRECORDED: Final = "The end of the turn could not be recorded."


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A failed turn over a message; ``counted`` if the message was alone in it."""

    at: float
    turn: int | None
    reason: str
    counted: bool


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """A message that was given up, with the reason."""

    message: Message
    deliveries: int
    failures: int
    why: tuple[Failure, ...]


def join_turn(tx: Tx, agent: str, holder: str, turn: int) -> int:
    """Move messages that ``holder`` took outside a turn into ``turn``; count them."""
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
    """Queue messages again that ``holder`` took but never received, without failure.

    That happens if an answer crosses the cancellation of its call.
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
    """Queue messages again that a running ``turn`` took, except those it ``heard``.

    They are not to blame for its outcome. Return the count.
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
    """Mark the messages of a successful turn as done."""
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
    """Finish messages that ``holder`` took outside a turn, these or all; count them."""
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
    """Queue the messages of an unsuccessful turn again.

    ``fault`` is the reason if they may be the cause; a limit, a login or a cancel is
    not their fault.
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
    """Queue the messages of a lost connection again; return the count.

    ``fault`` as for ``release_turn``; with ``begun``, only for messages with which a
    turn had begun: nobody has seen the others.
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
    """Record a failure, and count it against a message that was alone.

    With several messages, the cause is unknown: each goes alone from now on.
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
    """Release all leases when hived starts; return the count.

    Messages with which a turn had begun go alone from now on, but are not to blame:
    hived may have ended for any reason.
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
"""Leased by a turn that ended without them: nobody will release them."""


def release_ended(tx: Tx, agent: str) -> None:
    """Queue messages again that an ended turn still holds.

    They go alone from now on, as after a restart, but are not to blame.
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
    """Queue a message again whose lease, by this holder and turn, nobody will end.

    If a turn had begun with it, it goes alone from now on, but is not to blame.
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
    """Drop a message that nobody will ever receive."""
    tx.execute(
        "UPDATE message SET state = 'dead', done_at = ?, holder = NULL, turn = NULL "
        "WHERE id = ? AND state IN ('waiting', 'held')",
        tx.now,
        number,
    )


def explain(tx: Tx, agent: str, reason: str) -> None:
    """Record why the latest turn of ``agent`` was lost, once that is known."""
    tx.execute(
        "UPDATE message_failure SET reason = ? WHERE reason = ? AND "
        "turn = (SELECT max(id) FROM turn WHERE agent = ?)",
        reason,
        GONE,
        agent,
    )


def bury(tx: Tx, recipient: str, failures_max: int) -> tuple[DeadLetter, ...]:
    """Give up messages over which too many turns failed or died; return them."""
    rows = tx.execute(
        "UPDATE message INDEXED BY message_waiting SET state = 'dead', done_at = ? "
        "WHERE recipient = ? AND state = 'waiting' AND failures >= ? "
        f"RETURNING {COLUMNS}, failures",
        tx.now,
        recipient,
        failures_max,
    ).fetchall()
    return tuple(
        DeadLetter(
            message=message_of(row),
            deliveries=row[9],
            failures=row[10],
            why=_failures(tx, row[0]),
        )
        for row in rows
    )


def _failures(tx: Tx, number: int) -> tuple[Failure, ...]:
    rows = tx.execute(
        "SELECT at, turn, reason, counted FROM message_failure WHERE message = ? "
        "ORDER BY at, rowid",
        number,
    )
    return tuple(
        Failure(at=at, turn=turn, reason=reason, counted=bool(counted))
        for at, turn, reason, counted in rows.fetchall()
    )
