"""Reminders, how a question ended, and a way to find the answers to a message."""

from typing import Final

STATEMENTS: Final = (
    """
    CREATE TABLE reminder (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        agent TEXT NOT NULL,
        text TEXT NOT NULL,
        due_at REAL NOT NULL,
        repeat_s INTEGER,
        hop INTEGER NOT NULL,
        message INTEGER,
        created_at REAL NOT NULL
    ) STRICT
    """,
    "CREATE INDEX reminder_due ON reminder (due_at)",
    "CREATE INDEX reminder_by_agent ON reminder (agent)",
    "ALTER TABLE question ADD COLUMN ended TEXT",
    "CREATE INDEX message_replies ON message (reply_to) WHERE reply_to IS NOT NULL",
)
