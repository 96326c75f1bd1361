"""Checks that a store has the tables of its schema version.

SQLite's own check examines pages, not their contents: a store that lost a table, or
that another program changed, passes it. Called before a store is migrated.
"""

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any

from pyglue.store import failures, migrations

_COLUMNS = (
    "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c "
    "WHERE m.type = 'table'"
)
_OTHERS = "SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view')"


Run = Callable[[str], Iterable[tuple[Any, ...]]]
"""Runs a statement in the store, and returns its rows."""


def check(run: Run) -> None:
    """Compare an opened store with the schema of its version.

    Raises:
        HiveError: ``unavailable``; it lists what is missing.
    """
    ((version,),) = run("PRAGMA user_version")
    if version > len(migrations.STEPS):
        return  # written by a newer program; ``migrate`` refuses it
    with closing(sqlite3.connect(":memory:")) as wanted:
        for statements in migrations.STEPS[:version]:
            for statement in statements:
                wanted.execute(statement)
        columns = set(wanted.execute(_COLUMNS))
        others = set(wanted.execute(_OTHERS))
    columns -= set(run(_COLUMNS))
    others -= set(run(_OTHERS))
    if columns or others:
        raise failures.damaged(_missing(columns, others, _tables(run)))


def _tables(run: Run) -> set[str]:
    return {name for (name,) in run("SELECT name FROM sqlite_master")}


def _missing(
    columns: Iterable[tuple[str, str]],
    others: Iterable[tuple[str, str]],
    there: set[str],
) -> str:
    lost = {
        f"column {table}.{column}" if table in there else f"table {table}"
        for table, column in columns
    } | {f"{kind} {name}" for kind, name in others}
    return f"no {', '.join(sorted(lost)[:10])}"
