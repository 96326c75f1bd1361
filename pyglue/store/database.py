"""The open store: writes in group commits, reads, and the event outbox.

``await store.write(fn)`` queues ``fn``; the writer runs all queued functions in one
transaction (each in a savepoint), commits once with ``synchronous=FULL`` and only then
resolves the callers: a message is durable before its sender gets an answer. Changes in
memory that follow a commit are its ``then``: it runs in the order of commits, before
the events are published, even if the caller has given up. Events that ``fn`` emits are
rows of the same transaction and are published after the commit, in order, so nobody
learns of something that a crash could undo.
The event loop never touches peewee.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from peewee import DatabaseError, SqliteDatabase

from pyglue.api.events import Event, Happening
from pyglue.errors import ErrorCode, HiveError
from pyglue.store import examine, failures, migrations, schema
from pyglue.store.examine import Examination
from pyglue.store.tx import Reader, Tx
from pyglue.store.writer import Job, Outcome, Writer

__all__ = ["RESERVE", "Reader", "Store", "Tx", "open_store"]

T = TypeVar("T")

RESERVE: Final = 8 * 1024 * 1024
"""Bytes reserved at the end of the database and of its log."""
RETRY_S: Final = 2.0
"""Seconds between two attempts to make the kept writes."""
_PRAGMAS: Final = {
    "journal_mode": "wal",
    "synchronous": "full",
    "foreign_keys": 1,
    "busy_timeout": 5000,
    "wal_autocheckpoint": 1000,
}

_log = logging.getLogger(__name__)


class Store:
    """The open database. Created by ``open_store``, closed by ``close``."""

    def __init__(
        self,
        writer: SqliteDatabase,
        reader: SqliteDatabase,
        lock: int,
        *,
        make_space: Callable[[], bool],
        reserve: int,
        retry_s: float,
        examination: Examination | None = None,
    ) -> None:
        self._reader_db = reader
        self._place = Path(reader.database).parent
        self._lock = lock
        self._examination = examination
        self.warning = None if examination is None else examination.warning
        self.damage: str | None = None
        """The sentence about damage found while it is open."""
        self._tell_damage: Callable[[str], None] = lambda _text: None
        self._loop = asyncio.get_running_loop()
        self._publish: Callable[[list[Event]], None] = lambda _events: None
        self._readers = ThreadPoolExecutor(1, thread_name_prefix="store-read")
        self._writer = Writer(
            writer,
            self._done,
            self._damaged,
            make_space=make_space,
            reserve=reserve,
            retry_s=retry_s,
        )

    @property
    def problem(self) -> str | None:
        """Why writes are kept in memory instead of made; None if none are."""
        return self._writer.problem

    def on_events(self, publish: Callable[[list[Event]], None]) -> None:
        """Set the callback for committed events, in the event loop's thread."""
        self._publish = publish

    def on_damage(self, tell: Callable[[str], None]) -> None:
        """Set the callback for damage, called once in the event loop's thread."""
        self._tell_damage = tell
        if self._examination is not None:
            self._examination.on_damage(self._damaged)

    def _damaged(self, found: HiveError) -> None:
        """Record damage, in any thread; only the first is reported."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._note_damage, found.message)

    def _note_damage(self, text: str) -> None:
        if self.damage is None:
            self.damage = text
            _log.error("%s", text)
            self._tell_damage(text)

    def write(
        self,
        fn: Callable[[Tx], T],
        *,
        then: Callable[[T], None] | None = None,
        keep: bool = False,
    ) -> asyncio.Future[T]:
        """Queue ``fn`` for the writer's next transaction; await its durable result.

        ``then`` gets that result in the event loop as soon as it is durable. ``keep``
        is for changes already in effect in memory: if the write fails, the caller
        gets the error, and it is repeated until it succeeds.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        self._writer.put(Job(fn=fn, future=future, then=then, keep=keep))
        return future

    def post(
        self, fn: Callable[[Tx], T], *, then: Callable[[T], None] | None = None
    ) -> None:
        """Queue a write for which nobody waits, after those already queued.

        If it fails, it is repeated until it succeeds.
        """
        self._writer.put(Job(fn=fn, then=then))

    def emit(self, agent: str | None, event: Happening) -> None:
        """Publish an event by itself, written as with ``post``."""
        self._writer.put(Job(fn=lambda tx: tx.emit(agent, event), event=True))

    async def read(self, fn: Callable[[Reader], T]) -> T:
        """Run ``fn`` on the reader thread; it sees everything committed so far.

        Raises:
            StoreError: it cannot be read; and what ``fn`` raises.
        """
        reader = Reader(self._reader_db)
        try:
            return await self._loop.run_in_executor(self._readers, fn, reader)
        except HiveError:
            raise
        except Exception as error:
            found = failures.cause(error)
            if found is None or not failures.ends_transaction(found):
                raise
            refusal = failures.refusal(error, self._place)
            if failures.is_damage(found):
                self._damaged(refusal)
            raise refusal from error

    async def close(self) -> None:
        """Finish queued writes, then release the file and its lock."""
        if self._examination is not None:
            await asyncio.to_thread(self._examination.close)
        await asyncio.to_thread(self._writer.close)
        await self._loop.run_in_executor(self._readers, self._reader_db.close)
        self._readers.shutdown()
        os.close(self._lock)

    def keep_reserve(self) -> None:
        """Reserve the used space again; call it occasionally, from a thread."""
        self._writer.keep_reserve()

    def _done(self, outcomes: list[Outcome], events: list[Event]) -> None:
        """Pass results from the writer's thread to the event loop."""
        try:
            self._loop.call_soon_threadsafe(self._resolve, outcomes, events)
        except RuntimeError:  # the loop is closed: nobody is waiting
            _log.debug("the event loop is gone")

    def _resolve(self, outcomes: list[Outcome], events: list[Event]) -> None:
        for outcome in outcomes:
            if outcome.error is None and outcome.job.then is not None:
                self._call(outcome.job.then, outcome.value)
        if events:
            self._call(self._publish, events)
        for outcome in outcomes:
            future = outcome.job.future
            if future is None or future.done():
                continue
            if outcome.error is not None:
                future.set_exception(outcome.error)
            else:
                future.set_result(outcome.value)

    @staticmethod
    def _call(listener: Callable[[Any], None], value: object) -> None:
        """Call a follower of a commit, whose failure affects nobody else."""
        try:
            listener(value)
        except Exception:
            _log.exception("a callback after a commit failed")


def hold(path: Path) -> int:
    """Lock the store; the lock ends with the returned descriptor.

    Raises:
        HiveError: ``store_locked`` if another hived has it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise HiveError(
            ErrorCode.STORE_LOCKED,
            f"Another hived is using {path.parent}. Stop it first, or set another "
            "state directory.",
        ) from error
    return descriptor


def open_store(
    database: Path,
    lock: Path,
    *,
    make_space: Callable[[], bool] = lambda: False,
    reserve: int = 0,
    retry_s: float = RETRY_S,
    before: Callable[[], None] = lambda: None,
) -> Store:
    """Lock, check, open and migrate the store; call from a running event loop.

    ``make_space`` is called, in the writer's thread, when the disk is full; ``reserve``
    bytes are reserved for the store's growth. Writes that fail and must not get lost
    are tried again every ``retry_s`` seconds. ``before`` may refuse a whole store,
    before anything is written to it.

    Raises:
        HiveError: ``store_locked`` if another hived has it, ``config_invalid`` if
            the file is newer than this program or not a file, ``unavailable`` or
            ``disk_full`` if it is damaged or cannot be read or written.
    """
    held = hold(lock)
    examination = None
    try:
        examination = examine.examine(database)
        if examination is not None:
            examination.wait(examine.START_S)
        before()
        writer, reader = _open(database, make_space)
    except BaseException:
        if examination is not None:
            examination.close()
        os.close(held)
        raise
    return Store(
        writer,
        reader,
        held,
        make_space=make_space,
        reserve=reserve,
        retry_s=retry_s,
        examination=examination,
    )


def _open(
    database: Path, make_space: Callable[[], bool]
) -> tuple[SqliteDatabase, SqliteDatabase]:
    writer = SqliteDatabase(str(database), pragmas=_PRAGMAS, check_same_thread=False)
    reader = SqliteDatabase(
        str(database),
        pragmas={"query_only": 1, "busy_timeout": 5000},
        check_same_thread=False,
    )
    for last in (False, True):
        try:
            writer.connect(reuse_if_open=True)
            database.chmod(0o600)
            schema.check(writer.execute_sql)
            migrations.migrate(writer)
        except DatabaseError as error:
            found = failures.cause(error)
            if found is None:
                raise
            if last or not failures.may_be_full(found) or not make_space():
                raise failures.refusal(error, database.parent) from error
        else:
            break
        finally:
            writer.close()  # each thread has its own connection
    return writer, reader
