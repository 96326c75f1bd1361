"""Lists of messages: inboxes, unanswered ones, and all of them."""

from typing import Any, Final

import msgspec

from pyglue.api.inbox import (
    InboxFilter,
    InboxParams,
    InboxResult,
    MessagesParams,
    MessagesResult,
    Pair,
    PairsParams,
    PairsResult,
    ThreadParams,
    ThreadResult,
)
from pyglue.api.messages import (
    Mark,
    Message,
    Progress,
    Stage,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.names import OPERATOR
from pyglue.store import marks
from pyglue.store.database import Reader
from pyglue.store.messages import COLUMNS, message_of, shown

_THREAD_MOST: Final = 100
"""Maximum messages of a thread that are listed, before and after one message."""
_SIDES: Final = ("sender", "recipient")
_PROGRESS: Final = (
    "state, turn, boundary, (SELECT min(r.id) FROM message AS r "
    "WHERE r.reply_to = m.id AND r.sender = m.recipient) AS answer"
)
_PART: Final = (
    f"SELECT * FROM (SELECT {COLUMNS}, state FROM message {{}} WHERE recipient = ? "
    "AND id < ? AND {} ORDER BY id DESC LIMIT ?)"
)
_UNREAD, _READ = (
    _PART.format(f"INDEXED BY message_{state}", f"state = '{state}'")
    for state in ("waiting", "read")
)
"""Open messages: never by all that is done, which may be years of messages."""
_SHOWN: Final = {
    InboxFilter.OPEN: (_UNREAD, _READ),
    InboxFilter.UNREAD: (_UNREAD,),
    InboxFilter.DONE: (_PART.format("", "state NOT IN ('waiting', 'read')"),),
    InboxFilter.ALL: (_PART.format("", "1"),),
}
_PAIRED: Final = 10_000
"""The newest messages, of which pairs are counted: a few milliseconds."""
_PAIRS_MOST: Final = 500
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


def inbox(reader: Reader, recipient: str, asked: InboxParams) -> InboxResult:
    """Return an inbox, newest first."""
    parts = _SHOWN[asked.show]
    rows = reader.execute(
        f"SELECT * FROM ({' UNION ALL '.join(parts)}) ORDER BY id DESC LIMIT ?",
        *((recipient, asked.before or 2**62, asked.limit) * len(parts)),
        asked.limit,
    )
    return InboxResult(
        messages=tuple(
            msgspec.structs.replace(
                shown(row, asked.clip), mark=marks.of_state(row[-1])
            )
            for row in rows.fetchall()
        )
    )


def flow(reader: Reader, asked: MessagesParams) -> MessagesResult:
    """Return all messages, newest first; ``text`` ignores the case of ASCII letters."""
    agent, peer, sender, limit = asked.agent, asked.peer, asked.sender, asked.limit
    if agent is None:
        agent, peer = peer, None
    escaped = asked.text.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    like = f"%{escaped}%"
    newest = (
        f"SELECT {COLUMNS}, {_PROGRESS} FROM message AS m "
        "WHERE id < ? AND (? IS NULL OR kind = ?) AND (? = '%%' OR body LIKE ? "
        "ESCAPE '!') AND (? IS NULL OR ? NOT IN (sender, recipient)) {} "
        "ORDER BY id DESC LIMIT ?"
    )
    kind, without = asked.kind, asked.without
    where = (kind, kind, like, like, without, without)
    values: tuple[object, ...] = (asked.before or 2**62, *where)
    if agent is None and sender is not None:
        rows = reader.execute(newest.format("AND sender = ?"), *values, sender, limit)
    elif agent is None:
        rows = reader.execute(newest.format(""), *values, limit)
    else:  # each side has an index; OR would read the whole table
        other = "AND (? IS NULL OR {} = ?) AND (? IS NULL OR sender = ?)"
        sent, got = (
            newest.format(f"AND {side} = ? {other.format(its)}")
            for side, its in zip(_SIDES, reversed(_SIDES), strict=True)
        )
        rows = reader.execute(
            f"SELECT * FROM (SELECT * FROM ({sent}) UNION SELECT * FROM ({got})) "
            "ORDER BY id DESC LIMIT ?",
            *(*values, agent, peer, peer, sender, sender, limit),
            *(*values, agent, peer, peer, sender, sender, limit),
            limit,
        )
    return MessagesResult(
        messages=tuple(
            msgspec.structs.replace(
                shown(row, asked.clip),
                progress=_progress(row),
                mark=_mark(row, row[10]),
            )
            for row in rows.fetchall()
        )
    )


def _progress(row: tuple[Any, ...]) -> Progress | None:
    """Return the progress of a message to an agent; None for one to the operator."""
    state, turn, at_boundary, answer = row[10:]
    if row[2] == OPERATOR:
        return None
    return Progress(
        stage=_STAGES[state], turn=turn, at_boundary=bool(at_boundary), answer=answer
    )


def _mark(row: tuple[Any, ...], state: str) -> Mark | None:
    """Return the mark of a message to the operator; None of another."""
    return marks.of_state(state) if row[2] == OPERATOR else None


def pairs(reader: Reader, asked: PairsParams) -> PairsResult:
    """Count who wrote to whom, of the newest messages, in both directions."""
    rows = reader.execute(
        "SELECT one, other, n, (SELECT sent_at FROM message WHERE id = newest) FROM ("
        "SELECT min(sender, recipient) AS one, max(sender, recipient) AS other, "
        "count(*) AS n, max(id) AS newest FROM "
        "(SELECT id, sender, recipient FROM message ORDER BY id DESC LIMIT ?) "
        "GROUP BY 1, 2) WHERE ? IS NULL OR ? IN (one, other) "
        "ORDER BY newest DESC LIMIT ?",
        *(_PAIRED, asked.agent, asked.agent, _PAIRS_MOST),
    ).fetchall()
    counted = reader.execute(
        "SELECT count(*) FROM (SELECT 1 FROM message LIMIT ?)", _PAIRED + 1
    ).fetchone()[0]
    return PairsResult(
        pairs=tuple(
            Pair(one=row[0], other=row[1], messages=row[2], newest_at=row[3])
            for row in rows
        ),
        counted=min(counted, _PAIRED),
        more=counted > _PAIRED,
    )


def thread(reader: Reader, asked: ThreadParams) -> ThreadResult:
    """Return the thread of a message, oldest first, and whether it has more.

    It begins with the first message that leads to this one by replies.

    Raises:
        HiveError: ``not_found``.
    """
    rows = reader.execute(
        "WITH RECURSIVE up (id) AS ("  # a reply is younger than what it answers
        "SELECT id FROM message WHERE id = ? UNION ALL SELECT m.reply_to "
        "FROM message AS m JOIN up USING (id) WHERE m.reply_to IS NOT NULL LIMIT ?), "
        "down (id) AS (SELECT min(id) FROM up UNION ALL SELECT m.id "
        "FROM down JOIN message AS m ON m.reply_to = down.id LIMIT ?) "
        f"SELECT {COLUMNS}, state FROM message WHERE id IN "
        "(SELECT id FROM up UNION SELECT id FROM down) ORDER BY id",
        *(asked.id, _THREAD_MOST + 1, _THREAD_MOST + 1),
    ).fetchall()
    if all(row[0] != asked.id for row in rows):
        raise HiveError(ErrorCode.NOT_FOUND, f"There is no message {asked.id}.")
    found = tuple(
        msgspec.structs.replace(
            shown(row, None if row[0] == asked.id else asked.clip),
            mark=_mark(row, row[-1]),
        )
        for row in rows
    )
    return ThreadResult(messages=found, more=len(found) > _THREAD_MOST)
