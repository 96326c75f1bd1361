"""Messages: stored, taken and listed.

A message is queued (``waiting``), then leased (``held``, by a connection and later by
its turn), and finally done or dead; ``leases`` has the outcome of leased ones, and
``marks`` that of messages to the operator. The
statements are plain SQL because ``send`` and ``recv`` are the hot path.
"""

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from pyglue.api.events import MessageDelivered, MessageSent
from pyglue.api.messages import Message, MessageKind, Priority, ShownMessage
from pyglue.errors import ErrorCode, HiveError
from pyglue.limits import CLIENT_RPC
from pyglue.names import OPERATOR
from pyglue.store.database import Reader, Tx

COLUMNS: Final = (
    "id, sender, recipient, body, kind, priority, sent_at, reply_to, hop, deliveries"
)
_BYTES_MAX: Final = CLIENT_RPC.line // 8
"""Maximum bytes of all bodies in one answer: each may become six bytes in JSON."""
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
"""The messages of one answer by priority; the first one whatever its size."""
_OUTSIDE: Final = _NEXT.format(and_="", and_alone="AND alone = 0")
"""The same for handling: up to the first that goes alone, or only that one."""
_WITHIN: Final = _NEXT.format(and_="AND alone = 0", and_alone="")
"""The same within a turn, without messages that must go alone."""
_URGENT: Final = _NEXT.format(
    and_=f"AND alone = 0 AND (priority = 0 OR sender = '{OPERATOR}')", and_alone=""
)
"""The same for a running turn, which gets urgent messages without asking."""
ORDER: Final = (Priority.HIGH, Priority.NORMAL, Priority.LOW)
_RANK: Final = {priority: rank for rank, priority in enumerate(ORDER)}


@dataclass(frozen=True, kw_only=True)
class NewMessage:
    """A message to be stored; the broker has checked it."""

    sender: str
    recipient: str
    body: str
    kind: MessageKind = MessageKind.MESSAGE
    priority: Priority = Priority.NORMAL
    reply_to: int | None = None
    hop: int = 0


def message_of(row: tuple[Any, ...]) -> Message:
    """Return a row of ``COLUMNS`` as a message."""
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
    """Return a row of ``COLUMNS`` for display in a list."""
    values = msgspec.structs.asdict(message_of(row))
    whole = values["body"]
    values["body"] = whole[:clip]
    return ShownMessage(**values, left_out=len(whole) - len(values["body"]))


def insert(
    tx: Tx, new: NewMessage, *, holder: str | None = None, turn: int | None = None
) -> Message:
    """Store a message; with ``holder`` it is leased in the same transaction."""
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
        id=number, sender=new.sender, recipient=new.recipient, kind=new.kind
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
    """Refuse a reply to a message that does not exist or is between others.

    Raises:
        HiveError: ``not_found``, in both cases alike.
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
    """Lease up to ``most`` queued messages to ``holder``, by priority.

    Never more than fit into one answer. A message over which a turn failed goes alone.
    """
    which = _OUTSIDE if turn is None else _WITHIN
    return _hand_out(tx, which, recipient, most, holder, turn, at_boundary=False)


def take_urgent(
    tx: Tx, recipient: str, *, most: int, holder: str, turn: int
) -> tuple[Message, ...]:
    """Lease urgent messages to a running turn, as ``take`` does."""
    found = _hand_out(tx, _URGENT, recipient, most, holder, turn, at_boundary=True)
    for message in found:
        tx.emit(recipient, MessageDelivered(id=message.id, turn=turn))
    return found


def _hand_out(
    tx: Tx,
    which: str,
    recipient: str,
    most: int,
    holder: str,
    turn: int | None,
    *,
    at_boundary: bool,
) -> tuple[Message, ...]:
    rows = tx.execute(
        "UPDATE message SET state = 'held', deliveries = deliveries + 1, holder = ?, "
        f"turn = ?, boundary = ? WHERE id IN ({which}) RETURNING {COLUMNS}",
        holder,
        turn,
        at_boundary,
        recipient,
        most,
        _BYTES_MAX,
    ).fetchall()
    rows.sort(key=lambda row: (row[5], row[0]))
    return tuple(message_of(row) for row in rows)


def news(reader: Reader | Tx, recipient: str) -> tuple[int, int, tuple[str, ...]]:
    """Return the count, newest ID and senders of messages for a running turn."""
    rows = reader.execute(
        "SELECT sender, count(*), max(id) FROM message INDEXED BY message_waiting "
        "WHERE recipient = ? AND state = 'waiting' AND alone = 0 "
        "GROUP BY sender ORDER BY min(id)",
        recipient,
    ).fetchall()
    senders = tuple(str(row[0]) for row in rows)
    return (
        sum(row[1] for row in rows),
        max((row[2] for row in rows), default=0),
        senders,
    )


def peek(reader: Reader, recipient: str, most: int) -> tuple[Message, ...]:
    """Return queued messages without leasing them; no more than fit into one answer."""
    rows = reader.execute(
        f"SELECT {COLUMNS} FROM message WHERE id IN ({_SHOWN}) ORDER BY priority, id",
        recipient,
        most,
        _BYTES_MAX,
    )
    return tuple(message_of(row) for row in rows.fetchall())


def waiting(reader: Reader | Tx, recipient: str) -> int:
    """Return the number of messages queued for ``recipient``."""
    row = reader.execute(
        "SELECT count(*) FROM message INDEXED BY message_waiting "
        "WHERE recipient = ? AND state = 'waiting'",
        recipient,
    ).fetchone()
    return int(row[0])


def inbox_bytes(reader: Reader | Tx, recipient: str) -> int:
    """Return the bytes of messages queued for ``recipient``, or leased."""
    row = reader.execute(
        "SELECT bytes FROM inbox_size WHERE recipient = ?", recipient
    ).fetchone()
    return 0 if row is None else int(row[0])


def let_go(tx: Tx, recipient: str) -> int:
    """Drop the messages to a name that is gone for good."""
    cursor = tx.execute(
        "UPDATE message SET state = 'dead', done_at = ? WHERE recipient = ? AND "
        "state IN ('waiting', 'held')",
        tx.now,
        recipient,
    )
    return int(cursor.rowcount)


def waits(reader: Reader, number: int) -> bool:
    """Return whether the recipient has yet to handle a message."""
    row = reader.execute(
        "SELECT 1 FROM message WHERE id = ? AND state IN ('waiting', 'held')", number
    ).fetchone()
    return row is not None
