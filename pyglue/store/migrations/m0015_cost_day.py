"""Each agent's cost per day (UTC), maintained by triggers.

The overview shows it for every agent, and must not become slower with every request of
the day. Limits still sum up ``usage`` itself. Usage is only deleted when it is old, and
with it the sum of its day, which is no longer read.
"""

from typing import Final

_DAY: Final = "CAST({row}.at / 86400 AS INTEGER)"
_NEW: Final = _DAY.format(row="new")
_OLD: Final = _DAY.format(row="old")

STATEMENTS: Final = (
    """
    CREATE TABLE cost_day (
        day INTEGER NOT NULL,
        agent TEXT NOT NULL,
        cost_usd REAL NOT NULL,
        PRIMARY KEY (day, agent)
    ) STRICT, WITHOUT ROWID
    """,
    """
    INSERT INTO cost_day (day, agent, cost_usd)
    SELECT CAST(at / 86400 AS INTEGER), agent, sum(cost_usd) FROM usage GROUP BY 1, 2
    """,
    f"""
    CREATE TRIGGER cost_reserved AFTER INSERT ON usage BEGIN
        INSERT INTO cost_day (day, agent, cost_usd)
        VALUES ({_NEW}, new.agent, new.cost_usd)
        ON CONFLICT (day, agent) DO UPDATE SET cost_usd = cost_usd + excluded.cost_usd;
    END
    """,
    f"""
    CREATE TRIGGER cost_settled AFTER UPDATE OF cost_usd ON usage BEGIN
        UPDATE cost_day SET cost_usd = cost_usd - old.cost_usd + new.cost_usd
        WHERE day = {_OLD} AND agent = old.agent;
    END
    """,
    f"""
    CREATE TRIGGER cost_pruned AFTER DELETE ON usage BEGIN
        DELETE FROM cost_day WHERE day = {_OLD} AND agent = old.agent;
    END
    """,
)
