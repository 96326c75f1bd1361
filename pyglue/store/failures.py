"""SQLite's failures, as sentences for the operator.

peewee wraps SQLite's errors, and an error while it rolls a transaction back hides the
first one: ``cause`` finds it. For an error that SQLite only calls an I/O error, the
file system is asked for the cause.
"""

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Final

from pyglue.errors import ErrorCode, HiveError
from pyglue.files import disk_space

_LOW_BYTE: Final = 0xFF


class StoreError(HiveError):
    """The store cannot be read or written now; the same call may succeed later."""


def cause(error: BaseException) -> sqlite3.Error | None:
    """Return the first error of SQLite that led to ``error``; None if there is none."""
    found: sqlite3.Error | None = None
    seen: BaseException | None = error
    while seen is not None:
        for one in (seen, *seen.args[:1]):
            if isinstance(one, sqlite3.Error) and _code(one) is not None:
                found = one
        seen = seen.__cause__ or seen.__context__
    return found


def ends_transaction(error: sqlite3.Error) -> bool:
    """Return whether it concerns the whole store and not just one statement."""
    return _code(error) in _SENTENCES


def may_be_full(error: sqlite3.Error) -> bool:
    """Return whether free disk space could help."""
    return _code(error) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def may_wait(error: sqlite3.Error) -> bool:
    """Return whether there is a lock, for which SQLite has already waited."""
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether the database itself is damaged."""
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def damaged(what: str) -> HiveError:
    """Return the error of a damaged store; ``what`` describes the damage."""
    return HiveError(ErrorCode.UNAVAILABLE, f"{_DAMAGED} (Found: {what}.)")


def refusal(error: BaseException, place: Path) -> StoreError:
    """Return the error for the caller whose transaction failed with ``error``.

    ``place`` is the directory of the store.
    """
    found = cause(error)
    if found is None:
        return StoreError(ErrorCode.UNAVAILABLE, f"{_UNKNOWN} ({error})")
    code = _by_disk(found, place)
    full = code == sqlite3.SQLITE_FULL
    return StoreError(
        ErrorCode.DISK_FULL if full else ErrorCode.UNAVAILABLE,
        f"{_SENTENCES.get(code, _UNKNOWN)} (SQLite: {found})",
    )


def _by_disk(error: sqlite3.Error, place: Path) -> int:
    """Return SQLite's code, or a more precise one if the file system knows it."""
    code = _code(error) or 0
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
        with contextlib.suppress(OSError):
            if os.statvfs(place).f_flag & os.ST_RDONLY:
                return sqlite3.SQLITE_READONLY
            if disk_space.free(place).is_none:
                return sqlite3.SQLITE_FULL
    return code


def _code(error: sqlite3.Error) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else int(code) & _LOW_BYTE


_UNKNOWN: Final = (
    "The store could not be read or written. Check hived's log; if this persists, "
    "restart the hive."
)
REMEDY: Final = (
    "restore a backup into an empty directory (hive restore-backup FILE --into DIR), "
    "or rebuild what git and the audit log hold (hive doctor --repair --from-git)."
)
_DAMAGED: Final = f"The store hive.db is damaged. Stop the hive, then {REMEDY}"
_SENTENCES: Final = {
    sqlite3.SQLITE_FULL: (
        "The disk is full (no space left on device), so the store cannot be written. "
        "No acknowledged data is lost. Free some space; the hive continues "
        "automatically."
    ),
    sqlite3.SQLITE_IOERR: (
        "Reading or writing the store failed. Check the disk and the kernel's log."
    ),
    sqlite3.SQLITE_NOMEM: (
        "There was not enough memory to read or write the store. Free some memory; "
        "the hive continues automatically."
    ),
    sqlite3.SQLITE_BUSY: (
        "Another program keeps the store locked. Close whatever has hive.db open, "
        "and try again."
    ),
    sqlite3.SQLITE_LOCKED: "The store is locked. Try again.",
    sqlite3.SQLITE_PROTOCOL: "The store is locked. Try again.",
    sqlite3.SQLITE_READONLY: (
        "The store is read-only (read-only file system, or a file that hived's user "
        "may not write). Mount the state directory read-write; the hive continues "
        "automatically."
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
