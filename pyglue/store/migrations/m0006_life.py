"""Agents before and after they run: drafts, and the kept state of destroyed ones.

``operation.arguments`` is JSON: an operation's parameters besides agent and approval.
"""

from typing import Final

STATEMENTS: Final = (
    "ALTER TABLE operation ADD COLUMN arguments TEXT NOT NULL DEFAULT '{}'",
    """
    CREATE TABLE draft (
        name TEXT PRIMARY KEY,
        created_at REAL NOT NULL,
        "by" TEXT NOT NULL,
        description TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE kept (
        name TEXT PRIMARY KEY,
        destroyed_at REAL NOT NULL,
        "by" TEXT NOT NULL,
        description TEXT NOT NULL,
        record BLOB,
        "commit" TEXT,
        approval INTEGER
    ) STRICT
    """,
)
