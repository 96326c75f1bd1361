"""Bounds of growth by agents: used quotas, sizes of inboxes, finished rows.

Triggers maintain ``inbox_size``, so that no code that changes messages can miss it.
"""

from typing import Final

_KEPT: Final = "IN ('waiting', 'held')"
_ADD: Final = """
        INSERT INTO inbox_size (recipient, bytes)
        VALUES (new.recipient, length(CAST(new.body AS BLOB)))
        ON CONFLICT (recipient) DO UPDATE SET bytes = bytes + excluded.bytes;
"""
_TAKE: Final = """
        UPDATE inbox_size SET bytes = bytes - length(CAST(old.body AS BLOB))
        WHERE recipient = old.recipient;
"""

STATEMENTS: Final = (
    """
    CREATE TABLE quota (
        agent TEXT NOT NULL,
        what TEXT NOT NULL,
        since INTEGER NOT NULL,
        used INTEGER NOT NULL,
        PRIMARY KEY (agent, what)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE inbox_size (
        recipient TEXT PRIMARY KEY,
        bytes INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    f"""
    INSERT INTO inbox_size (recipient, bytes)
    SELECT recipient, sum(length(CAST(body AS BLOB))) FROM message
    WHERE state {_KEPT} GROUP BY recipient
    """,
    f"""
    CREATE TRIGGER inbox_grows AFTER INSERT ON message
    WHEN new.state {_KEPT} BEGIN {_ADD} END
    """,
    f"""
    CREATE TRIGGER inbox_shrinks AFTER UPDATE OF state ON message
    WHEN old.state {_KEPT} AND new.state NOT {_KEPT} BEGIN {_TAKE} END
    """,
    f"""
    CREATE TRIGGER inbox_grows_again AFTER UPDATE OF state ON message
    WHEN new.state {_KEPT} AND old.state NOT {_KEPT} BEGIN {_ADD} END
    """,
    "CREATE INDEX message_over ON message (done_at) WHERE done_at IS NOT NULL",
    "CREATE INDEX question_over ON question (answered_at)",
    "CREATE INDEX operation_over ON operation (finished_at)",
    "CREATE INDEX turn_over ON turn (ended_at)",
)
