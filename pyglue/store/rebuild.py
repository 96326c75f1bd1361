"""A new store in a file of its own: empty, or based on an older one."""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from peewee import DatabaseError, SqliteDatabase

from pyglue.errors import ErrorCode, HiveError
from pyglue.store import examine, failures, migrations, schema
from pyglue.store.database import Tx


def usable(database: Path) -> bool:
    """Return whether an older store is intact and can be the base."""
    try:
        examination = examine.examine(database)
        if examination is None:
            return False
        try:
            examination.wait(None)
            with contextlib.closing(examine.opened(database)) as connection:
                schema.check(connection.execute)
            return examine.given(database) is not None
        finally:
            examination.close()
    except HiveError:
        return False


def make(fresh: Path, base: Path | None, fill: Callable[[Tx], None]) -> None:
    """Write a complete store to the new file ``fresh``, and sync it.

    Raises:
        HiveError: it cannot be written; the file is removed.
    """
    try:
        if base is not None:
            _copy(base, fresh)
        database = SqliteDatabase(str(fresh), pragmas={"synchronous": "full"})
        with contextlib.closing(database):
            database.connect()
            fresh.chmod(0o600)
            migrations.migrate(database)
            with database.atomic():
                fill(Tx(database, time.time()))
        _sync(fresh)
    except BaseException as error:
        fresh.unlink(missing_ok=True)
        if isinstance(error, DatabaseError | sqlite3.Error):
            raise failures.refusal(error, fresh.parent) from error
        if isinstance(error, OSError):
            raise HiveError(
                ErrorCode.UNAVAILABLE, f"Cannot write {fresh}: {error.strerror}."
            ) from error
        raise


def _copy(base: Path, fresh: Path) -> None:
    uri = f"{base.absolute().as_uri()}?mode=ro"
    with (
        contextlib.closing(sqlite3.connect(uri, uri=True)) as source,
        contextlib.closing(sqlite3.connect(fresh)) as target,
    ):
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
