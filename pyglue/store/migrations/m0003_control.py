"""The operator's control of agents, apart from their manifests.

There is one row per agent, and one named ``hive`` for all of them.
"""

from typing import Final

STATEMENTS: Final = (
    """
    CREATE TABLE control (
        agent TEXT PRIMARY KEY,
        paused_at REAL,
        paused_by TEXT,
        pause_reason TEXT,
        model TEXT,
        model_at REAL,
        model_by TEXT,
        lift_day REAL,
        lift_usd REAL NOT NULL DEFAULT 0,
        lift_tokens INTEGER NOT NULL DEFAULT 0,
        lift_turns INTEGER NOT NULL DEFAULT 0,
        question INTEGER,
        asked_for TEXT
    ) STRICT
    """,
)
