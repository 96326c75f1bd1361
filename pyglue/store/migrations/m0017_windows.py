"""The limit windows of accounts, which a restart of hived must not forget."""

from typing import Final

STATEMENTS: Final = (
    """
    CREATE TABLE rate_window (
        account TEXT NOT NULL,
        name TEXT NOT NULL,
        used REAL NOT NULL,
        resets_at REAL NOT NULL,
        is_used_up INTEGER NOT NULL,
        PRIMARY KEY (account, name)
    ) STRICT, WITHOUT ROWID
    """,
)
