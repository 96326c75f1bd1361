"""A consistent copy of the database, made while hived continues to write."""

import contextlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pyglue.api.approvals import ApprovalState
from pyglue.errors import ErrorCode, HiveError


@dataclass(frozen=True)
class Facts:
    """The contents of a snapshot that concern repositories.

    ``mains``: the commit of main by name, for agents and kept state; ``approvals``:
    agent and state by number.
    """

    mains: Mapping[str, str | None]
    approvals: Mapping[int, tuple[str, ApprovalState]]


def take(database: Path, copy: Path) -> Facts:
    """Copy ``database`` to the new file ``copy``, and read its facts. Blocks.

    Readers and writers of a database in WAL mode do not wait for each other, so the
    copy is made in a single step, of one moment.

    Raises:
        HiveError: ``unavailable`` if the disk is full or the copy is incomplete.
    """
    try:
        with (
            contextlib.closing(sqlite3.connect(database, timeout=60)) as source,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            source.execute("PRAGMA query_only = 1")
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")
            found = target.execute("PRAGMA quick_check(1)").fetchone()
            if found != ("ok",):
                raise sqlite3.DatabaseError(f"it is damaged: {found[0]}")
            return _facts(target)
    except sqlite3.Error as error:
        raise HiveError(
            ErrorCode.UNAVAILABLE,
            f"Could not copy the store: {error}. Is the disk full?",
        ) from error


def _facts(database: sqlite3.Connection) -> Facts:
    mains: dict[str, str | None] = {}
    for rows in (
        database.execute('SELECT name, "commit" FROM kept'),
        database.execute('SELECT name, "commit" FROM agent'),
    ):
        mains.update(rows.fetchall())
    approvals = {
        number: (agent, ApprovalState(state))
        for number, agent, state in database.execute(
            "SELECT id, agent, state FROM approval"
        )
    }
    return Facts(mains, approvals)
