"""The check of the database before hived opens it.

It only reads: a log that is damaged, or belongs to another database, must not be copied
into the database first. The check of the pages takes about a second for 260 MB in the
page cache. The start waits ``START_S`` for it; a larger store is opened in the
meantime, and damage found later is reported as damage of a running store.
"""

import contextlib
import logging
import sqlite3
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pyglue.errors import ErrorCode, HiveError
from pyglue.store import failures, wal

START_S: Final = 10.0
"""How long the start waits for the check of the pages."""
_MAGIC: Final = b"SQLite format 3\0"
_log = logging.getLogger(__name__)


class Examination:
    """A check of the pages, in a thread with a connection of its own."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._found: HiveError | None = None
        self._then: Callable[[HiveError], None] = lambda _found: None
        self._connection: sqlite3.Connection | None = None
        self.warning: str | None = None
        """A warning to the operator about a usable store."""
        self._lock = threading.Lock()
        self._thread = threading.Thread(
            target=self._run, name="store-check", daemon=True
        )
        self._thread.start()

    def wait(self, seconds: float | None) -> None:
        """Wait up to ``seconds`` for its end.

        Raises:
            HiveError: ``unavailable`` with the damage.
        """
        self._thread.join(seconds)
        if self._found is not None:
            raise self._found
        if self._thread.is_alive():
            _log.warning(
                "the check of the store takes longer than %s s; it continues while the "
                "hive runs",
                seconds,
            )

    def on_damage(self, then: Callable[[HiveError], None]) -> None:
        """Call ``then``, in the check's thread, if it finds damage later."""
        with self._lock:
            self._then = then
            found = self._found
        if found is not None:
            then(found)

    def close(self) -> None:
        """End the check, whether finished or not."""
        with self._lock:
            if self._connection is not None:
                self._connection.interrupt()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._look()
        except HiveError as error:
            with self._lock:
                self._found = error
                then = self._then
            then(error)

    def _look(self) -> None:
        try:
            with contextlib.closing(opened(self._database)) as connection:
                with self._lock:
                    self._connection = connection
                try:
                    _same_database(self._database, connection)
                    self.warning = _whole_log(self._database, connection)
                    _whole_pages(connection)
                finally:
                    with self._lock:
                        self._connection = None
        except sqlite3.Error as error:
            # Any other obstacle to reading it is reported when it is opened.
            if failures.is_damage(error):
                raise failures.refusal(error, self._database.parent) from error


def examine(database: Path) -> Examination | None:
    """Check an existing database; None if there is none, or an empty file.

    Raises:
        HiveError: ``config_invalid`` if it is not a file; ``unavailable`` if it is
            damaged.
    """
    for place in (database, wal.beside(database, "-wal"), wal.beside(database, "-shm")):
        _is_file(place)
    try:
        if database.stat().st_size == 0:
            return None
        with database.open("rb") as file:
            head = file.read(len(_MAGIC))
    except FileNotFoundError:
        return None
    except OSError:
        return None  # reported when it is opened
    if head != _MAGIC:
        raise failures.damaged("it does not begin like an SQLite database")
    log = wal.read(wal.beside(database, "-wal"))
    if log.page_size is None and not log.empty:
        raise failures.damaged("the header of its log hive.db-wal is damaged")
    if log.page_size not in (None, wal.page_size(database)):
        raise failures.damaged("its log hive.db-wal belongs to another database")
    return Examination(database)


def given(database: Path) -> dict[str, int] | None:
    """Return the highest ID that each table ever assigned; None without tables.

    Raises:
        HiveError: it cannot be read.
    """
    if not database.exists() or database.stat().st_size == 0:
        return None
    try:
        with contextlib.closing(opened(database)) as connection:
            there = "SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'"
            if connection.execute(there).fetchone() is None:
                return None
            rows = connection.execute("SELECT name, seq FROM sqlite_sequence")
            return {str(name): int(seq) for name, seq in rows.fetchall()}
    except sqlite3.Error as error:
        raise failures.refusal(error, database.parent) from error


def _is_file(place: Path) -> None:
    try:
        mode = place.stat().st_mode
    except FileNotFoundError:
        if place.is_symlink():
            raise HiveError(
                ErrorCode.CONFIG_INVALID,
                f"{place} is a link to {place.readlink()}, which does not exist. Mount "
                "the disk that it is on, or remove the link.",
            ) from None
        return
    except OSError:
        return  # reported when it is opened
    if not stat.S_ISREG(mode):
        kind = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
        raise HiveError(
            ErrorCode.CONFIG_INVALID,
            f"{place} is {kind}, so the store cannot be opened. Move it away, then put "
            f"the database back or restore it: {failures.REMEDY}",
        )


def opened(database: Path) -> sqlite3.Connection:
    """Open it so that its log is never copied into it, not even on close."""
    uri = f"{database.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, timeout=5, check_same_thread=False)


def _same_database(database: Path, connection: sqlite3.Connection) -> None:
    """Refuse a log with the first page of another store, which has another ID."""
    (through_log,) = connection.execute("PRAGMA application_id").fetchone()
    own = wal.identity(database)
    if own and own != through_log & 0xFFFFFFFF:
        raise failures.damaged("its log hive.db-wal belongs to another database")


def _whole_log(database: Path, connection: sqlite3.Connection) -> str | None:
    connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    log = wal.read(wal.beside(database, "-wal"))
    try:
        taken = wal.frames_read(wal.beside(database, "-shm"))
    except FileNotFoundError:
        return None
    left_out = [frame for frame in log.commits if frame > taken]
    if len(left_out) > 1:
        raise failures.damaged(
            f"its log hive.db-wal is damaged: {len(left_out)} commits cannot be read"
        )
    if not left_out:
        return None
    return (
        "The last commit in hive.db-wal was incomplete, as after a power failure, and "
        "was left out. If there was none, check the disk, and the last decision."
    )


def _whole_pages(connection: sqlite3.Connection) -> None:
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise failures.damaged(" ".join(str(found).split()))
