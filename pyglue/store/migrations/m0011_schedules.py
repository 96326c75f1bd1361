"""When an agent's schedules are due next."""

from typing import Final

STATEMENTS: Final = (
    """
    CREATE TABLE schedule (
        agent TEXT NOT NULL,
        name TEXT NOT NULL,
        at TEXT NOT NULL,
        zone TEXT NOT NULL,
        set_at REAL NOT NULL,
        due_at REAL,
        try_at REAL,
        message INTEGER,
        PRIMARY KEY (agent, name)
    ) STRICT
    """,
)
