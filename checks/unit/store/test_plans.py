"""The statements for sending a message and starting a turn never read the history."""

import contextlib
import re
import sqlite3
from typing import Any

import pytest

from pyglue.api.inbox import InboxFilter, InboxParams, ThreadParams
from pyglue.api.messages import Mark
from pyglue.errors import HiveError
from pyglue.store import agents, inboxes, leases, marks, messages, queue
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

    def emit(self, *_: object) -> None:
        """Take an event, which is no statement."""

    def fetchone(self) -> tuple[int, int]:
        return (0, 0)


@pytest.mark.parametrize(
    "look",
    [
        lambda tx: messages.take(tx, "a", most=3, holder="h", turn=1),
        lambda tx: leases.bury(tx, "a", 5),
        lambda tx: leases.join_turn(tx, "a", "h", 1),
        lambda tx: leases.finish_turn(tx, "a", 1),
        lambda tx: leases.release_turn(tx, "a", 1, fault="x"),
        lambda tx: leases.release_holder(tx, "a", "h", begun=True, fault="x"),
        lambda tx: leases.release_unseen(tx, "a", "h", (1,)),
        lambda tx: leases.finish_taken(tx, "a", "h", None),
        lambda tx: messages.waiting(tx, "a"),
        lambda tx: inboxes.waiting_counts(tx),
    ],
)
def test_messages_are_found_among_what_waits_or_is_held(look: object) -> None:
    check(look, "message", "INDEX message_(waiting|held)|INTEGER PRIMARY KEY")


@pytest.mark.parametrize(
    "look",
    [
        lambda tx: queue.listing(tx, "a", limit=9, clip=None),
        lambda tx: queue.count(tx, "a"),
        lambda tx: queue.of_turn(tx, "a", 1),
        lambda tx: queue.drop(tx, "a", 7),
        lambda tx: queue.move_to_end(tx, "a", 7),
    ],
)
def test_a_queue_is_found_among_what_waits_or_is_held(look: object) -> None:
    check(look, "message", "INDEX message_(waiting|held)|INTEGER PRIMARY KEY")


def test_a_queued_message_is_found_with_its_failures() -> None:
    def look(plans: Any) -> None:
        with contextlib.suppress(HiveError, IndexError):  # no row
            queue.find(plans, "a", 7)
        queue._reasons(plans, 7)

    check(look, "message", "INDEX message_failure_\\w+|INTEGER PRIMARY KEY")


def test_what_is_marked_is_found_in_its_inbox() -> None:
    check(
        lambda tx: marks.mark(tx, "a", Mark.DONE, up_to=9),
        "message",
        "INDEX message_(waiting|read|by_recipient)|INTEGER PRIMARY KEY",
    )


@pytest.mark.parametrize("show", [InboxFilter.OPEN, InboxFilter.UNREAD])
def test_open_messages_are_found_among_open_ones(show: InboxFilter) -> None:
    check(
        lambda tx: inboxes.inbox(tx, "a", InboxParams(show=show, limit=9)),
        "message",
        "INDEX message_(waiting|read)|INTEGER PRIMARY KEY",
    )


def test_a_thread_is_found_by_its_replies() -> None:
    def look(plans: Any) -> None:
        with pytest.raises(HiveError):  # no row
            inboxes.thread(plans, ThreadParams(id=7, clip=10))

    check(look, " m ", "INDEX message_replies|INTEGER PRIMARY KEY")
    check(look, "message", "INDEX message_replies|INTEGER PRIMARY KEY")


@pytest.mark.parametrize(
    "look",
    [
        lambda tx: agents.lose_turns(tx),
        lambda tx: agents.lose_turns(tx, "a"),
        lambda tx: agents.turns_since(tx, "a", 1.0),
    ],
)
def test_turns_are_found_among_what_runs_or_is_new(look: object) -> None:
    check(look, "turn", "INDEX turn_(open|by_start)")


def check(look: object, table: str, allowed: str) -> None:
    plans = _Plans()
    assert callable(look)
    look(plans)
    touched = [step for step in plans.used if table in step]
    assert touched, plans.used
    assert all(re.search(allowed, step) for step in touched), plans.used
