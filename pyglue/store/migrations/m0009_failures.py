"""Failures of turns over a message, with reasons; messages that must go alone."""

from typing import Final

STATEMENTS: Final = (
    "ALTER TABLE message ADD COLUMN alone INTEGER NOT NULL DEFAULT 0",
    """
    UPDATE message SET alone = 1
    WHERE failures > 0 AND state IN ('waiting', 'held')
    """,
    """
    CREATE TABLE message_failure (
        message INTEGER NOT NULL,
        at REAL NOT NULL,
        turn INTEGER,
        reason TEXT NOT NULL,
        counted INTEGER NOT NULL
    ) STRICT
    """,
    "CREATE INDEX message_failure_of ON message_failure (message)",
    "CREATE INDEX message_failure_in ON message_failure (turn)",
    """
    CREATE TRIGGER message_failures_go AFTER DELETE ON message BEGIN
        DELETE FROM message_failure WHERE message = old.id;
    END
    """,
)
