"""Whether a store has the tables of the schema that it claims to have.

SQLite's own check knows pages, not what belongs into them: a store of which a table was
lost, or that another program wrote to, passes it. Called before a store is migrated.
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
    """Compare an opened store with what the steps up to its version make.

    Raises:
        HiveError: ``unavailable`` with what is missing.
    """
    ((version,),) = run("PRAGMA user_version")
    if version > len(migrations.STEPS):
        return  # a newer program's, which ``migrate`` refuses
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
