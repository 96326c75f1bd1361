"""The schema, as numbered steps; ``PRAGMA user_version`` is the last applied one.

A step is a module with ``STATEMENTS``. Steps are never edited once released; a
store that is newer than this program is refused.
"""

from typing import Final

from peewee import SqliteDatabase

from pyglue.errors import ErrorCode, HiveError
from pyglue.store.migrations import (
    m0001_initial,
    m0002_telemetry,
    m0003_control,
    m0004_reminders,
    m0005_systems,
    m0006_life,
    m0007_turns,
    m0008_growth,
    m0009_failures,
    m0010_draft_steps,
    m0011_schedules,
    m0012_webhooks,
    m0013_boundary,
    m0014_accounts,
    m0015_cost_day,
    m0016_comments,
    m0017_windows,
    m0018_marks,
)

STEPS: Final = (
    m0001_initial.STATEMENTS,
    m0002_telemetry.STATEMENTS,
    m0003_control.STATEMENTS,
    m0004_reminders.STATEMENTS,
    m0005_systems.STATEMENTS,
    m0006_life.STATEMENTS,
    m0007_turns.STATEMENTS,
    m0008_growth.STATEMENTS,
    m0009_failures.STATEMENTS,
    m0010_draft_steps.STATEMENTS,
    m0011_schedules.STATEMENTS,
    m0012_webhooks.STATEMENTS,
    m0013_boundary.STATEMENTS,
    m0014_accounts.STATEMENTS,
    m0015_cost_day.STATEMENTS,
    m0016_comments.STATEMENTS,
    m0017_windows.STATEMENTS,
    m0018_marks.STATEMENTS,
)


def migrate(database: SqliteDatabase) -> int:
    """Bring the schema up to date, in one transaction; return its version.

    A failed upgrade changes nothing, so the older program can still be used.

    Raises:
        HiveError: ``config_invalid`` if the store was written by a newer version.
    """
    version: int = database.execute_sql("PRAGMA user_version").fetchone()[0]
    if version > len(STEPS):
        raise HiveError(
            ErrorCode.CONFIG_INVALID,
            f"The store has schema {version}, but this version of hyperhive knows "
            f"only {len(STEPS)}. Use the newer version, or restore a backup.",
        )
    if version < len(STEPS):
        with database.atomic():
            for statements in STEPS[version:]:
                for statement in statements:
                    database.execute_sql(statement)
            database.execute_sql(f"PRAGMA user_version = {len(STEPS)}")
    return len(STEPS)
