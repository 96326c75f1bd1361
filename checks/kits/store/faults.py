"""A store whose statements fail: any one, in any way, once or for a while.

``Faults`` goes between SQLite and the store's writing connection, below peewee. A
fault is the error that SQLite reports, and as with SQLite a full disk and an I/O error
also end the transaction. BEGIN, COMMIT and ROLLBACK are statements like others.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final
from unittest import mock

from peewee import SqliteDatabase

from pyglue.store.failures import StoreError


class Fault(StrEnum):
    """What SQLite reports."""

    FULL = "full"
    READONLY = "readonly"
    IOERR = "ioerr"
    BUSY = "busy"
    LOCKED = "locked"
    CORRUPT = "corrupt"


_ERRORS: Final = {
    Fault.FULL: (sqlite3.SQLITE_FULL, "database or disk is full"),
    Fault.READONLY: (
        sqlite3.SQLITE_READONLY,
        "attempt to write a readonly database",
    ),
    Fault.IOERR: (sqlite3.SQLITE_IOERR_WRITE, "disk I/O error"),
    Fault.BUSY: (sqlite3.SQLITE_BUSY, "database is locked"),
    Fault.LOCKED: (sqlite3.SQLITE_LOCKED, "database table is locked"),
    Fault.CORRUPT: (sqlite3.SQLITE_CORRUPT, "database disk image is malformed"),
}
SAID: Final = {
    Fault.FULL: "no space left on device",
    Fault.READONLY: "read-only file system",
    Fault.IOERR: "Check the disk",
    Fault.BUSY: "Another program keeps the store locked",
    Fault.LOCKED: "The store is locked",
    Fault.CORRUPT: "hive restore-backup",
}
"""Words of the sentence that a caller must get for each."""
ONCE: Final = 1
FOR_A_WHILE: Final = 9
"""How many statements fail, one after the other."""
_ENDS: Final = frozenset({Fault.FULL, Fault.IOERR})
"""What also ends SQLite's transaction."""


class Faults:
    """Says which statement of the writing connection fails, and how."""

    def __init__(self) -> None:
        self._left: int | None = None
        self._times = 0
        self._begins = False
        self.fault = Fault.FULL
        """How statements fail that do."""
        self.statements: list[str] = []
        """What was run since ``arm``."""
        self.fired = False
        self.refused = False
        """Whether the last call that might be refused was."""

    @contextlib.contextmanager
    def around(self) -> Iterator[None]:
        """Stand before the writing connections of the store that is opened here."""
        faults = self

        class Cursor(sqlite3.Cursor):
            def execute(self, sql: str, *values: Any) -> "Cursor":
                faults._run(sql, self.connection)
                super().execute(sql, *values)
                return self

        class Connection(sqlite3.Connection):
            def cursor(self, *_: Any) -> Any:
                return super().cursor(Cursor)

            # peewee 3 calls these; peewee 4 runs the statements.
            def commit(self) -> None:
                faults._run("COMMIT", self)
                super().commit()

            def rollback(self) -> None:
                faults._run("ROLLBACK", self)
                super().rollback()

        def database(path: str, *, pragmas: dict[str, object], **more: Any) -> Any:
            writes = "journal_mode" in pragmas
            if writes:
                more["factory"] = Connection
                pragmas = {**pragmas, "synchronous": "off"}  # a test has no power cut
            return SqliteDatabase(path, pragmas=pragmas, **more)

        with mock.patch("pyglue.store.database.SqliteDatabase", database):
            yield

    @contextlib.contextmanager
    def may_be_refused(self) -> Iterator[None]:
        """Let a call be refused for the store's sake, in a sentence."""
        self.refused = False
        try:
            yield
        except StoreError as error:
            assert SAID[self.fault] in error.message
            assert self.fired
            self.refused = True

    def arm(
        self, at: int, fault: Fault, *, times: int = ONCE, next_one: bool = False
    ) -> None:
        """Let the statement ``at`` (0 is the next) and the ones after fail.

        With ``next_one``, it is a statement of the transaction that begins next.
        """
        self.statements = []
        self.fault, self._times, self._left = fault, times, at
        self._begins = next_one
        self.fired = False

    def heal(self) -> None:
        """Let no statement fail any more."""
        self._left = None

    def _run(self, sql: str, connection: sqlite3.Connection) -> None:
        self.statements.append(sql)
        self._begins = self._begins and not sql.startswith("BEGIN")
        if self._left is None or self._begins:
            return
        if self._left > 0:
            self._left -= 1
            return
        self.fired = True
        self._times -= 1
        if self._times == 0:
            self._left = None
        code, text = _ERRORS[self.fault]
        if self.fault in _ENDS and connection.in_transaction:
            sqlite3.Cursor(connection).execute("ROLLBACK")
        error = sqlite3.OperationalError(text)
        error.sqlite_errorcode = code
        raise error
