"""Metrics of turns and their buckets, history by agent, and counters for overviews.

The view ``stats`` is for inspection by hand; the tables store the name of a series
once. Triggers maintain ``history_size``, so that no code that writes or prunes events
can miss it.
"""

from typing import Final

_HISTORY: Final = "kind IN ('turn.started', 'turn.event', 'turn.ended')"
"""As in ``store.history``: SQLite uses the index only for the same expression."""

STATEMENTS: Final = (
    """
    CREATE TABLE stats_series (
        id INTEGER PRIMARY KEY,
        agent TEXT NOT NULL,
        key TEXT NOT NULL,
        n INTEGER NOT NULL DEFAULT 0,
        total REAL NOT NULL DEFAULT 0,
        last REAL NOT NULL DEFAULT 0,
        last_at REAL NOT NULL DEFAULT 0,
        UNIQUE (agent, key)
    ) STRICT
    """,
    """
    CREATE TABLE stats_row (
        series INTEGER NOT NULL,
        ts REAL NOT NULL,
        value REAL NOT NULL,
        PRIMARY KEY (series, ts)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE VIEW stats (agent, ts, key, value) AS
    SELECT agent, ts, key, value FROM stats_row
    JOIN stats_series ON stats_series.id = stats_row.series
    """,
    """
    CREATE TABLE stats_bucket (
        step INTEGER NOT NULL,
        series INTEGER NOT NULL,
        ts INTEGER NOT NULL,
        n INTEGER NOT NULL,
        total REAL NOT NULL,
        high REAL NOT NULL,
        PRIMARY KEY (step, series, ts)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE agent_turns (
        agent TEXT PRIMARY KEY,
        count INTEGER NOT NULL DEFAULT 0,
        last_at REAL,
        last_outcome TEXT,
        context_fill REAL
    ) STRICT, WITHOUT ROWID
    """,
    """
    INSERT INTO agent_turns (agent, count, last_at, last_outcome)
    SELECT agent, count(*), max(ended_at), (
        SELECT outcome FROM turn AS last
        WHERE last.agent = turn.agent AND last.ended_at IS NOT NULL
        ORDER BY id DESC LIMIT 1
    ) FROM turn GROUP BY agent
    """,
    "CREATE INDEX usage_by_time ON usage (at, agent, cost_usd)",
    "CREATE INDEX usage_by_turn ON usage (turn) WHERE turn IS NOT NULL",
    f"CREATE INDEX event_history ON event (agent, seq) WHERE {_HISTORY}",
    """
    CREATE TABLE history_size (
        agent TEXT PRIMARY KEY,
        bytes INTEGER NOT NULL,
        floor INTEGER NOT NULL DEFAULT 0
    ) STRICT, WITHOUT ROWID
    """,
    f"""
    INSERT INTO history_size (agent, bytes)
    SELECT agent, sum(length(data)) FROM event
    WHERE agent IS NOT NULL AND {_HISTORY} GROUP BY agent
    """,
    f"""
    CREATE TRIGGER history_grows AFTER INSERT ON event
    WHEN new.agent IS NOT NULL AND new.{_HISTORY} BEGIN
        INSERT INTO history_size (agent, bytes) VALUES (new.agent, length(new.data))
        ON CONFLICT (agent) DO UPDATE SET bytes = bytes + excluded.bytes;
    END
    """,
    f"""
    CREATE TRIGGER history_shrinks AFTER DELETE ON event
    WHEN old.agent IS NOT NULL AND old.{_HISTORY} BEGIN
        UPDATE history_size SET bytes = bytes - length(old.data)
        WHERE agent = old.agent;
    END
    """,
    "CREATE TABLE event_floor (name TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT",
    """
    INSERT INTO event_floor
    SELECT name, coalesce((SELECT min(seq) - 1 FROM event), 0)
    FROM (SELECT 'bus' AS name UNION SELECT 'history')
    """,
)
