"""SQLite's failures, as sentences for the operator.

peewee wraps SQLite's errors, and an error while it takes a transaction back hides the
first one: ``cause`` finds it.
"""

import sqlite3
from typing import Final

from pyglue.errors import ErrorCode, HiveError

_LOW_BYTE: Final = 0xFF


def cause(error: BaseException) -> sqlite3.Error | None:
    """Return the first error of SQLite that led to ``error``, None if none did."""
    found: sqlite3.Error | None = None
    seen: BaseException | None = error
    while seen is not None:
        for one in (seen, *seen.args[:1]):
            if isinstance(one, sqlite3.Error) and _code(one) is not None:
                found = one
        seen = seen.__cause__ or seen.__context__
    return found


def ends_transaction(error: sqlite3.Error) -> bool:
    """Tell if it is about the whole store, and not about one statement."""
    return _code(error) in _SENTENCES


def may_be_full(error: sqlite3.Error) -> bool:
    """Tell if room on the disk could help."""
    return _code(error) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def is_passing(error: sqlite3.Error) -> bool:
    """Tell if the same write may go well later."""
    return may_be_full(error) or _code(error) in (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
    )


def is_damage(error: sqlite3.Error) -> bool:
    """Tell if the database itself is damaged."""
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def damaged(what: str) -> HiveError:
    """Return the refusal of a damaged store; ``what`` was found."""
    return HiveError(ErrorCode.UNAVAILABLE, f"{_DAMAGED} (Found: {what}.)")


def refusal(error: sqlite3.Error) -> HiveError:
    """Return what the caller of a write is told."""
    code = _code(error)
    text = _SENTENCES.get(code or 0, "Could not write the store.")
    full = code == sqlite3.SQLITE_FULL
    return HiveError(
        ErrorCode.DISK_FULL if full else ErrorCode.UNAVAILABLE,
        f"{text} (SQLite: {error})",
    )


def _code(error: sqlite3.Error) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else int(code) & _LOW_BYTE


REMEDY: Final = (
    "restore a backup into an empty directory (hive restore-backup FILE --into DIR), "
    "or rebuild what git and the audit log hold (hive doctor --repair --from-git)."
)
_DAMAGED: Final = f"The store hive.db is damaged. Stop the hive, then {REMEDY}"
_SENTENCES: Final = {
    sqlite3.SQLITE_FULL: (
        "The disk is full, so the store cannot be written. No acknowledged data is "
        "lost. Free some space; the hive continues automatically."
    ),
    sqlite3.SQLITE_IOERR: (
        "Reading or writing the store failed. Check the disk and the kernel's log."
    ),
    sqlite3.SQLITE_BUSY: (
        "Another program keeps the store locked. Close whatever has hive.db open, "
        "and try again."
    ),
    sqlite3.SQLITE_LOCKED: "The store is locked. Try again.",
    sqlite3.SQLITE_READONLY: (
        "The store is read-only. Check that the state directory's file system is "
        "mounted read-write and belongs to hived's user."
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "Cannot open the store hive.db. Check the permissions of the state directory."
    ),
    sqlite3.SQLITE_PERM: (
        "Access to the store hive.db was denied. Check the permissions of the state "
        "directory."
    ),
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
}
