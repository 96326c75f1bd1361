"""Messages and their leases.

A message waits, is held (by one connection, later by its turn), and ends done or
dead. Holding has no timer: it ends with the turn, the connection or the process.
The statements are plain SQL because ``send`` and ``recv`` are the hot path.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from pyglue.api.events import MessageSent, MessageTaken
from pyglue.api.messages import (
    InboxMessage,
    Message,
    MessageKind,
    Priority,
    ShownMessage,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.limits import CLIENT_RPC
from pyglue.names import OPERATOR
from pyglue.store.database import Reader, Tx

_COLUMNS: Final = (
    "id, sender, recipient, body, kind, priority, sent_at, reply_to, hop, deliveries"
)
_BYTES_MAX: Final = CLIENT_RPC.line // 8
"""Bytes of the bodies in one answer: each may be six in JSON."""
_NEXT: Final = (
    "SELECT id FROM (SELECT id, "
    "sum(length(CAST(body AS BLOB))) OVER (ORDER BY priority, id) AS total, "
    "max(alone) OVER (ORDER BY priority, id) AS alone, "
    "row_number() OVER (ORDER BY priority, id) AS place FROM ("
    "SELECT id, priority, body, alone FROM message WHERE recipient = ? AND "
    "state = 'waiting' {and_} ORDER BY priority, id LIMIT ?)) "
    "WHERE total <= ? {and_alone} OR place = 1"
)
_SHOWN: Final = _NEXT.format(and_="", and_alone="")
"""The messages of one answer, best first: the first whatever its size."""
_OUTSIDE: Final = _NEXT.format(and_="", and_alone="AND alone = 0")
"""The same to be handled: up to the first that goes alone, or that one."""
_WITHIN: Final = _NEXT.format(and_="AND alone = 0", and_alone="")
"""The same within a turn, which none joins that goes alone."""
GONE: Final = "The agent's harness went away during the turn."
RESTARTED: Final = "hived stopped during the turn."
UNRECORDED: Final = "The end of the turn could not be recorded."
_SIDES: Final = ("sender", "recipient")
ORDER: Final = (Priority.HIGH, Priority.NORMAL, Priority.LOW)
_RANK: Final = {priority: rank for rank, priority in enumerate(ORDER)}


@dataclass(frozen=True, kw_only=True)
class NewMessage:
    """A message about to be stored; checked by the broker."""

    sender: str
    recipient: str
    body: str
    kind: MessageKind = MessageKind.MESSAGE
    priority: Priority = Priority.NORMAL
    reply_to: int | None = None
    hop: int = 0


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


def _message(row: tuple[Any, ...]) -> Message:
    return Message(
        id=row[0],
        sender=row[1],
        recipient=row[2],
        body=row[3],
        kind=MessageKind(row[4]),
        priority=ORDER[min(row[5], len(ORDER) - 1)],
        sent_at=row[6],
        reply_to=row[7],
        hop=row[8],
        redelivered=row[9] > 1,
    )


def shown(row: tuple[Any, ...], clip: int | None) -> ShownMessage:
    """Return a row of the columns above as lists show it."""
    values = msgspec.structs.asdict(_message(row))
    whole = values["body"]
    values["body"] = whole[:clip]
    return ShownMessage(**values, left_out=len(whole) - len(values["body"]))


def insert(
    tx: Tx, new: NewMessage, *, holder: str | None = None, turn: int | None = None
) -> Message:
    """Store a message; with ``holder`` it is handed out in the same transaction."""
    held = holder is not None
    cursor = tx.execute(
        "INSERT INTO message (sender, recipient, body, kind, priority, sent_at, "
        "reply_to, hop, state, deliveries, holder, turn) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        new.sender,
        new.recipient,
        new.body,
        new.kind.value,
        _RANK[new.priority],
        tx.now,
        new.reply_to,
        new.hop,
        "held" if held else "waiting",
        1 if held else 0,
        holder,
        turn,
    )
    number = cursor.lastrowid
    sent = MessageSent(
        id=number, sender=new.sender, recipient=new.recipient, kind=new.kind.value
    )
    tx.emit(new.recipient, sent)
    return Message(
        id=number,
        sender=new.sender,
        recipient=new.recipient,
        body=new.body,
        kind=new.kind,
        priority=new.priority,
        sent_at=tx.now,
        reply_to=new.reply_to,
        hop=new.hop,
        redelivered=False,
    )


def check_reply(tx: Tx, sender: str, number: int) -> None:
    """Refuse a reply to what there is not, or what is between others.

    Raises:
        HiveError: ``not_found``; it does not say which of the two.
    """
    row = tx.execute(
        "SELECT 1 FROM message WHERE id = ? AND (? IN (sender, recipient) OR ? = ?)",
        *(number, sender, sender, OPERATOR),
    ).fetchone()
    if row is None:
        raise HiveError(
            ErrorCode.NOT_FOUND,
            f"There is no message {number} that you sent or received, so nothing was "
            "sent. Set reply_to to the id of such a message, or leave it out.",
        )


def take(
    tx: Tx,
    recipient: str,
    *,
    most: int,
    holder: str,
    turn: int | None,
) -> tuple[Message, ...]:
    """Hand out up to ``most`` waiting messages to ``holder``, best first.

    Never more than fit one answer. A message over which a turn failed comes alone.
    """
    which = _OUTSIDE if turn is None else _WITHIN
    rows = tx.execute(
        "UPDATE message SET state = 'held', deliveries = deliveries + 1, holder = ?, "
        f"turn = ? WHERE id IN ({which}) RETURNING {_COLUMNS}",
        holder,
        turn,
        recipient,
        most,
        _BYTES_MAX,
    ).fetchall()
    rows.sort(key=lambda row: (row[5], row[0]))
    return tuple(_message(row) for row in rows)


def peek(reader: Reader, recipient: str, most: int) -> tuple[Message, ...]:
    """Return what waits, without taking it; never more than fits one answer."""
    rows = reader.execute(
        f"SELECT {_COLUMNS} FROM message WHERE id IN ({_SHOWN}) ORDER BY priority, id",
        recipient,
        most,
        _BYTES_MAX,
    )
    return tuple(_message(row) for row in rows.fetchall())


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
        f"RETURNING {_COLUMNS}, failures",
        tx.now,
        recipient,
        failures_max,
    ).fetchall()
    return tuple(
        DeadLetter(_message(row), row[9], row[10], _failures(tx, row[0]))
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


def waiting(reader: Reader | Tx, recipient: str) -> int:
    """Return how many messages wait for ``recipient``."""
    row = reader.execute(
        "SELECT count(*) FROM message INDEXED BY message_waiting "
        "WHERE recipient = ? AND state = 'waiting'",
        recipient,
    ).fetchone()
    return int(row[0])


def inbox_bytes(reader: Reader | Tx, recipient: str) -> int:
    """Return the bytes of what waits for ``recipient``, or is held."""
    row = reader.execute(
        "SELECT bytes FROM inbox_size WHERE recipient = ?", recipient
    ).fetchone()
    return 0 if row is None else int(row[0])


def let_go(tx: Tx, recipient: str) -> int:
    """Give up what waits for a name that is gone for good."""
    cursor = tx.execute(
        "UPDATE message SET state = 'dead', done_at = ? WHERE recipient = ? AND "
        "state IN ('waiting', 'held')",
        tx.now,
        recipient,
    )
    return int(cursor.rowcount)


def waits(reader: Reader, number: int) -> bool:
    """Tell whether a message is still to be handled by its recipient."""
    row = reader.execute(
        "SELECT 1 FROM message WHERE id = ? AND state IN ('waiting', 'held')", number
    ).fetchone()
    return row is not None


def unanswered(
    reader: Reader,
    *,
    sender: str | None,
    recipient: str | None,
    since: float,
    most: int,
) -> tuple[Message, ...]:
    """Return messages without a reply since ``since``, newest first.

    ``sender`` or ``recipient`` says whose; what the hive itself sent asks for none.
    """
    mine, name = ("sender", sender) if sender is not None else ("recipient", recipient)
    rows = reader.execute(
        f"SELECT {_COLUMNS} FROM message AS m WHERE {mine} = ? AND kind = 'message' "
        "AND sent_at >= ? AND state != 'dead' AND NOT EXISTS (SELECT 1 FROM message "
        "AS r WHERE r.reply_to = m.id AND r.sender = m.recipient) "
        "ORDER BY id DESC LIMIT ?",
        name,
        since,
        most,
    )
    return tuple(_message(row) for row in rows.fetchall())


def waiting_counts(reader: Reader) -> dict[str, int]:
    """Return how many messages wait or are held, by recipient."""
    rows = reader.execute(
        "SELECT recipient, sum(n) FROM ("  # each half is an index of its own
        "SELECT recipient, count(*) AS n FROM message WHERE state = 'waiting' "
        "GROUP BY recipient UNION ALL "
        "SELECT recipient, count(*) FROM message WHERE state = 'held' "
        "GROUP BY recipient) GROUP BY recipient"
    )
    return {str(name): int(count) for name, count in rows.fetchall()}


def mark_read(tx: Tx, recipient: str, number: int) -> None:
    """The operator read a message.

    Raises:
        HiveError: ``not_found`` if it is not in that inbox.
    """
    cursor = tx.execute(
        "UPDATE message SET state = 'done', done_at = coalesce(done_at, ?) "
        "WHERE id = ? AND recipient = ?",
        tx.now,
        number,
        recipient,
    )
    if cursor.rowcount == 0:
        raise HiveError(
            ErrorCode.NOT_FOUND, f"There is no message {number} in this inbox."
        )
    tx.emit(recipient, MessageTaken(id=number))


def inbox(
    reader: Reader,
    recipient: str,
    *,
    unread_only: bool,
    limit: int,
    clip: int | None = None,
) -> tuple[InboxMessage, ...]:
    """Return an inbox, newest first; of each body ``clip`` characters at most."""
    unread = "AND state = 'waiting'" if unread_only else ""  # takes the partial index
    rows = reader.execute(
        f"SELECT {_COLUMNS}, state FROM message WHERE recipient = ? {unread} "
        "ORDER BY id DESC LIMIT ?",
        recipient,
        limit,
    )
    return tuple(
        InboxMessage(message=shown(row, clip), read=row[-1] != "waiting")
        for row in rows.fetchall()
    )


def flow(
    reader: Reader,
    *,
    limit: int,
    before: int | None,
    agent: str | None,
    kind: MessageKind | None = None,
    text: str = "",
    clip: int | None = None,
) -> tuple[ShownMessage, ...]:
    """Return all messages, newest first; ``text`` in any case of ASCII letters.

    Of each body ``clip`` characters at most.
    """
    escaped = text.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    like = f"%{escaped}%"
    newest = (
        f"SELECT {_COLUMNS} FROM message WHERE id < ? AND (? IS NULL OR kind = ?) "
        "AND (? = '%%' OR body LIKE ? ESCAPE '!') {} ORDER BY id DESC LIMIT ?"
    )
    values: tuple[object, ...] = (before or 2**62, kind, kind, like, like)
    if agent is None:
        rows = reader.execute(newest.format(""), *values, limit)
    else:  # each side has an index; one OR would read the whole table
        sent, got = (newest.format(f"AND {side} = ?") for side in _SIDES)
        rows = reader.execute(
            f"SELECT * FROM (SELECT * FROM ({sent}) UNION SELECT * FROM ({got})) "
            "ORDER BY id DESC LIMIT ?",
            *(*values, agent, limit),
            *(*values, agent, limit),
            limit,
        )
    return tuple(shown(row, clip) for row in rows.fetchall())
