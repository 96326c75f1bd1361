"""The statements of a message's way read what waits or is held, never the history."""

import re
import sqlite3

import pytest

from pyglue.store import messages
from pyglue.store.migrations import STEPS


class _Plans:
    """Stands in for a transaction: asks SQLite how it would run each statement."""

    now = 0.0
    rowcount = 0

    def __init__(self) -> None:
        self.db = sqlite3.connect(":memory:")
        for statements in STEPS:
            for statement in statements:
                self.db.execute(statement)
        self.used: list[str] = []

    def execute(self, sql: str, *values: object) -> "_Plans":
        plan = self.db.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()
        self.used += [row[3] for row in plan]
        return self

    def fetchall(self) -> list[object]:
        return []

    def fetchone(self) -> tuple[int]:
        return (0,)


@pytest.mark.parametrize(
    "look",
    [
        lambda tx: messages.take(tx, "a", most=3, holder="h", turn=1),
        lambda tx: messages.bury(tx, "a", 5),
        lambda tx: messages.join_turn(tx, "a", "h", 1),
        lambda tx: messages.finish_turn(tx, "a", 1),
        lambda tx: messages.release_turn(tx, "a", 1, failed=True),
        lambda tx: messages.release_holder(tx, "a", "h"),
        lambda tx: messages.waiting(tx, "a"),
        lambda tx: messages.waiting_counts(tx),
    ],
)
def test_no_statement_reads_the_history(look: object) -> None:
    plans = _Plans()
    assert callable(look)
    look(plans)
    touched = [step for step in plans.used if "message" in step]
    allowed = re.compile("INDEX message_(waiting|held)|INTEGER PRIMARY KEY")
    assert touched and all(allowed.search(step) for step in touched), plans.used
