"""Lists of messages: inboxes, unanswered ones, and all of them."""

from typing import Any, Final

import msgspec

from pyglue.api.inbox import InboxMessage
from pyglue.api.messages import Message, MessageKind, Progress, ShownMessage, Stage
from pyglue.errors import ErrorCode, HiveError
from pyglue.names import OPERATOR
from pyglue.store.database import Reader
from pyglue.store.messages import COLUMNS, message_of, shown

_THREAD_MOST: Final = 100
"""The messages that a thread has before it has more, above one and below."""
_SIDES: Final = ("sender", "recipient")
_PROGRESS: Final = (
    "state, turn, boundary, (SELECT min(r.id) FROM message AS r "
    "WHERE r.reply_to = m.id AND r.sender = m.recipient) AS answer"
)
_STAGES: Final = {
    "waiting": Stage.QUEUED,
    "held": Stage.DELIVERED,
    "done": Stage.DONE,
    "dead": Stage.DROPPED,
}


def unanswered(
    reader: Reader,
    *,
    sender: str | None,
    recipient: str | None,
    since: float,
    most: int,
) -> tuple[Message, ...]:
    """Return messages without a reply since ``since``, newest first.

    ``sender`` or ``recipient`` selects them; the hive's own messages need no reply.
    """
    mine, name = ("sender", sender) if sender is not None else ("recipient", recipient)
    rows = reader.execute(
        f"SELECT {COLUMNS} FROM message AS m WHERE {mine} = ? AND kind = 'message' "
        "AND sent_at >= ? AND state != 'dead' AND NOT EXISTS (SELECT 1 FROM message "
        "AS r WHERE r.reply_to = m.id AND r.sender = m.recipient) "
        "ORDER BY id DESC LIMIT ?",
        name,
        since,
        most,
    )
    return tuple(message_of(row) for row in rows.fetchall())


def waiting_counts(reader: Reader) -> dict[str, int]:
    """Return the number of queued or leased messages, by recipient."""
    rows = reader.execute(
        "SELECT recipient, sum(n) FROM ("  # each half has its own index
        "SELECT recipient, count(*) AS n FROM message WHERE state = 'waiting' "
        "GROUP BY recipient UNION ALL "
        "SELECT recipient, count(*) FROM message WHERE state = 'held' "
        "GROUP BY recipient) GROUP BY recipient"
    )
    return {str(name): int(count) for name, count in rows.fetchall()}


def inbox(
    reader: Reader,
    recipient: str,
    *,
    unread_only: bool,
    limit: int,
    clip: int | None = None,
) -> tuple[InboxMessage, ...]:
    """Return an inbox, newest first, with at most ``clip`` characters of each body."""
    unread = "AND state = 'waiting'" if unread_only else ""  # uses the partial index
    rows = reader.execute(
        f"SELECT {COLUMNS}, state FROM message WHERE recipient = ? {unread} "
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
    peer: str | None = None,
    without: str | None = None,
    kind: MessageKind | None = None,
    text: str = "",
    clip: int | None = None,
) -> tuple[ShownMessage, ...]:
    """Return all messages, newest first; ``text`` ignores the case of ASCII letters.

    At most ``clip`` characters of each body. ``peer`` is the other side of ``agent``,
    or on either side without one; ``without`` is on neither.
    """
    if agent is None:
        agent, peer = peer, None
    escaped = text.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    like = f"%{escaped}%"
    newest = (
        f"SELECT {COLUMNS}, {_PROGRESS} FROM message AS m "
        "WHERE id < ? AND (? IS NULL OR kind = ?) AND (? = '%%' OR body LIKE ? "
        "ESCAPE '!') AND (? IS NULL OR ? NOT IN (sender, recipient)) {} "
        "ORDER BY id DESC LIMIT ?"
    )
    asked = (kind, kind, like, like, without, without)
    values: tuple[object, ...] = (before or 2**62, *asked)
    if agent is None:
        rows = reader.execute(newest.format(""), *values, limit)
    else:  # each side has an index; OR would read the whole table
        other = "AND (? IS NULL OR {} = ?)"
        sent, got = (
            newest.format(f"AND {side} = ? {other.format(its)}")
            for side, its in zip(_SIDES, reversed(_SIDES), strict=True)
        )
        rows = reader.execute(
            f"SELECT * FROM (SELECT * FROM ({sent}) UNION SELECT * FROM ({got})) "
            "ORDER BY id DESC LIMIT ?",
            *(*values, agent, peer, peer, limit),
            *(*values, agent, peer, peer, limit),
            limit,
        )
    return tuple(
        msgspec.structs.replace(shown(row, clip), progress=_progress(row))
        for row in rows.fetchall()
    )


def _progress(row: tuple[Any, ...]) -> Progress | None:
    """Return what has become of a message to an agent; None of one to the operator."""
    state, turn, at_boundary, answer = row[10:]
    if row[2] == OPERATOR:
        return None
    return Progress(
        stage=_STAGES[state], turn=turn, at_boundary=bool(at_boundary), answer=answer
    )


def thread(
    reader: Reader, number: int, clip: int
) -> tuple[tuple[ShownMessage, ...], bool]:
    """Return the thread of a message, oldest first, and whether it has more.

    It begins with the first message that leads to this one by replies. Of each body
    but this message's, ``clip`` characters at most.

    Raises:
        HiveError: ``not_found``.
    """
    rows = reader.execute(
        "WITH RECURSIVE up (id) AS ("  # a reply is younger than what it answers
        "SELECT id FROM message WHERE id = ? UNION ALL SELECT m.reply_to "
        "FROM message AS m JOIN up USING (id) WHERE m.reply_to IS NOT NULL LIMIT ?), "
        "down (id) AS (SELECT min(id) FROM up UNION ALL SELECT m.id "
        "FROM down JOIN message AS m ON m.reply_to = down.id LIMIT ?) "
        f"SELECT {COLUMNS} FROM message WHERE id IN "
        "(SELECT id FROM up UNION SELECT id FROM down) ORDER BY id",
        *(number, _THREAD_MOST + 1, _THREAD_MOST + 1),
    ).fetchall()
    if all(row[0] != number for row in rows):
        raise HiveError(ErrorCode.NOT_FOUND, f"There is no message {number}.")
    found = tuple(shown(row, None if row[0] == number else clip) for row in rows)
    return found, len(found) > _THREAD_MOST
