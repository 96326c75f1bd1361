"""What an agent is before and after it runs: drafts, what is kept of destroyed ones.

``operation.arguments`` is JSON: what an operation needs beside agent and approval.
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
