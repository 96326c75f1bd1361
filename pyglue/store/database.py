"""One writer thread with group commit, one reader thread, and the event outbox.

``await store.write(fn)`` queues ``fn``; the writer runs everything that waits in
one transaction (each in a savepoint), commits once with ``synchronous=FULL`` and
only then resolves the callers: a message is durable before its sender hears ok.
What has to follow a commit in memory is its ``then``: it runs in the order of commits,
before the events are published, and also if the caller has given up.
Events that ``fn`` emits are rows of the same transaction and are published after
the commit, in order, so nobody hears of something that a crash could undo.
The event loop never touches peewee.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import queue
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from peewee import DatabaseError, SqliteDatabase

from pyglue.api.events import Event, Happening
from pyglue.diskspace import Reserve
from pyglue.errors import ErrorCode, HiveError
from pyglue.store import examine, failures, migrations
from pyglue.store.examine import Examination

T = TypeVar("T")

_BATCH_MAX: Final = 256
_KEPT_MAX: Final = 2000
"""Most posted writes that wait for room on the disk; the oldest are given up."""
RESERVE: Final = 8 * 1024 * 1024
"""Bytes set aside behind the database and behind its log."""
_PRAGMAS: Final = {
    "journal_mode": "wal",
    "synchronous": "full",
    "foreign_keys": 1,
    "busy_timeout": 5000,
    "wal_autocheckpoint": 1000,
}

_log = logging.getLogger(__name__)


class Tx:
    """What a write function works with: the database and the outbox."""

    def __init__(self, database: SqliteDatabase, now: float) -> None:
        self.db = database
        self.now = now
        self.events: list[Event] = []

    def execute(self, sql: str, *values: object) -> Any:  # noqa: ANN401
        """Run one statement and return its cursor."""
        return self.db.execute_sql(sql, values)

    def emit(self, agent: str | None, data: Happening) -> None:
        """Add an event to this transaction; published after the commit."""
        kind, encoded = data.KIND, msgspec.json.encode(data)
        cursor = self.execute(
            "INSERT INTO event (at, kind, agent, data) VALUES (?, ?, ?, ?)",
            self.now,
            kind,
            agent,
            encoded,
        )
        seq, raw = cursor.lastrowid, msgspec.Raw(encoded)
        self.events.append(
            Event(seq=seq, at=self.now, kind=kind, agent=agent, data=raw)
        )


class Reader:
    """What a read function works with."""

    def __init__(self, database: SqliteDatabase) -> None:
        self.db = database

    def execute(self, sql: str, *values: object) -> Any:  # noqa: ANN401
        """Run one query and return its cursor."""
        return self.db.execute_sql(sql, values)


@dataclass(frozen=True)
class _Job:
    fn: Callable[[Tx], Any]
    future: asyncio.Future[Any] | None
    then: Callable[[Any], None] | None = None


@dataclass(frozen=True)
class _Outcome:
    job: _Job
    value: Any
    error: Exception | None


class Store:
    """The open database. Made by ``open_store``; closed by ``close``."""

    def __init__(
        self,
        writer: SqliteDatabase,
        reader: SqliteDatabase,
        lock: int,
        *,
        make_room: Callable[[], bool],
        reserve: int,
        examination: Examination | None = None,
    ) -> None:
        self._writer_db = writer
        self._reader_db = reader
        self._lock = lock
        self._make_room = make_room
        self._reserve = reserve
        self._reserves: tuple[Reserve, ...] = ()
        self._kept: deque[_Job] = deque(maxlen=_KEPT_MAX)
        self._examination = examination
        self.warning = None if examination is None else examination.warning
        self.damage: str | None = None
        """The sentence on damage that was found while it is open."""
        self._tell_damage: Callable[[str], None] = lambda _text: None
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._publish: Callable[[list[Event]], None] = lambda _events: None
        self._readers = ThreadPoolExecutor(1, thread_name_prefix="store-read")
        self._thread = threading.Thread(
            target=self._run, name="store-write", daemon=True
        )
        self._thread.start()

    def on_events(self, publish: Callable[[list[Event]], None]) -> None:
        """Set who is told of committed events, in the event loop's thread."""
        self._publish = publish

    def on_damage(self, tell: Callable[[str], None]) -> None:
        """Set who is told once, in the event loop's thread, that it is damaged."""
        self._tell_damage = tell
        if self._examination is not None:
            self._examination.on_damage(self._damaged)

    def _damaged(self, found: HiveError) -> None:
        """Note damage, in any thread; what was found first is said, once."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._note_damage, found.message)

    def _note_damage(self, text: str) -> None:
        if self.damage is None:
            self.damage = text
            _log.error("%s", text)
            self._tell_damage(text)

    def write(
        self, fn: Callable[[Tx], T], *, then: Callable[[T], None] | None = None
    ) -> asyncio.Future[T]:
        """Queue ``fn`` for the writer's next transaction; await its durable result.

        ``then`` gets that result in the event loop as soon as it is durable.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Job(fn, future, then))
        return future

    def post(self, fn: Callable[[Tx], object]) -> None:
        """Queue a write that nobody waits for, behind those already queued.

        One that fails for want of room is tried again when there is some.
        """
        self._queue.put(_Job(fn, None))

    async def read(self, fn: Callable[[Reader], T]) -> T:
        """Run ``fn`` on the reader thread; it sees everything committed so far.

        Raises:
            HiveError: ``unavailable`` if the store cannot be read; what ``fn`` raises.
        """
        reader = Reader(self._reader_db)
        try:
            return await self._loop.run_in_executor(self._readers, fn, reader)
        except DatabaseError as error:
            found = failures.cause(error)
            if found is None or not failures.ends_transaction(found):
                raise
            refusal = failures.refusal(found)
            if failures.is_damage(found):
                self._damaged(refusal)
            raise refusal from error

    async def close(self) -> None:
        """Finish what is queued, then release the file and its lock."""
        if self._examination is not None:
            await asyncio.to_thread(self._examination.close)
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        await self._loop.run_in_executor(self._readers, self._reader_db.close)
        self._readers.shutdown()
        for reserve in self._reserves:
            reserve.release()
        os.close(self._lock)

    def keep_reserve(self) -> None:
        """Set room aside again for what was written; now and then, from a thread."""
        for reserve in self._reserves:
            reserve.keep()

    # --- the writer thread ------------------------------------------------------

    def _run(self) -> None:
        self._identify()
        self._set_aside()
        while (first := self._queue.get()) is not None:
            batch = [first]
            last = False
            while len(batch) < _BATCH_MAX and not last:
                try:
                    job = self._queue.get_nowait()
                except queue.Empty:
                    break
                if job is None:
                    last = True
                else:
                    batch.append(job)
            self._commit(batch)
            if last:
                break
        self._writer_db.close()

    def _identify(self) -> None:
        """Give the store its id, so that another store's log is known for what it is.

        Writing it, again too, puts the page that it is on into the log of this run.
        """
        database = self._writer_db
        try:
            (found,) = database.execute_sql("PRAGMA application_id").fetchone()
            number = found or 1 + secrets.randbelow(2**31 - 1)
            database.execute_sql(f"PRAGMA application_id = {number}")
        except DatabaseError as error:  # a full disk, for one
            _log.warning("could not write the store's id: %s", error)

    def _set_aside(self) -> None:
        """Keep room behind the database and its log, which is there once it is read."""
        if not self._reserve:
            return
        database = Path(self._writer_db.database)
        log = database.with_name(f"{database.name}-wal")
        try:
            self._writer_db.execute_sql("SELECT count(*) FROM sqlite_master")
            self._reserves = tuple(
                Reserve(one, self._reserve) for one in (database, log)
            )
            self.keep_reserve()
        except (DatabaseError, OSError) as error:
            _log.warning("could not reserve disk space for the store: %s", error)

    def _commit(self, batch: list[_Job]) -> None:
        try:
            outcomes, events = self._transact(batch)
        except DatabaseError as error:  # nothing of it happened
            outcomes, events = self._failed(batch, error), []
        else:
            while self._kept:
                self._queue.put(self._kept.popleft())
        try:
            self._loop.call_soon_threadsafe(self._resolve, outcomes, events)
        except RuntimeError:  # the loop is closed: nobody waits any more
            _log.debug("the event loop is gone")

    def _transact(self, batch: list[_Job]) -> tuple[list[_Outcome], list[Event]]:
        """Run a batch in one transaction; once more if room could be made for it."""
        for last in (False, True):
            try:
                return self._transaction(batch)
            except DatabaseError as error:
                found = failures.cause(error)
                full = found is not None and failures.may_be_full(found)
                if last or not full or not self._make_room():
                    raise
        raise AssertionError  # the second time returns or raises

    def _transaction(self, batch: list[_Job]) -> tuple[list[_Outcome], list[Event]]:
        database = self._writer_db
        events: list[Event] = []
        database.begin("IMMEDIATE")  # waits for its turn, as a later lock would not
        try:
            outcomes = [self._one(job, events) for job in batch]
            database.commit()
        except BaseException:
            with contextlib.suppress(DatabaseError):  # SQLite may have ended it
                database.rollback()
            raise
        return outcomes, events

    def _failed(self, batch: list[_Job], error: DatabaseError) -> list[_Outcome]:
        found = failures.cause(error)
        if found is None:
            _log.error("a transaction failed", exc_info=error)
            refusal = HiveError(
                ErrorCode.UNAVAILABLE, f"Could not write the store ({error})."
            )
        else:
            refusal = failures.refusal(found)
            if failures.is_damage(found):
                self._damaged(refusal)
            else:
                _log.error("a transaction failed: %s", refusal.message)
            if failures.is_passing(found):
                self._kept.extend(job for job in batch if job.future is None)
        return [_Outcome(job, None, refusal) for job in batch]

    def _one(self, job: _Job, events: list[Event]) -> _Outcome:
        tx = Tx(self._writer_db, time.time())
        try:
            with self._writer_db.savepoint():
                value = job.fn(tx)
        except HiveError as error:
            return _Outcome(job, None, error)
        except Exception as error:
            found = failures.cause(error)
            if found is not None and failures.ends_transaction(found):
                raise DatabaseError(found, *found.args) from error
            if job.future is None:
                _log.exception("a posted write failed")
            return _Outcome(job, None, error)
        events += tx.events
        return _Outcome(job, value, None)

    def _resolve(self, outcomes: list[_Outcome], events: list[Event]) -> None:
        for outcome in outcomes:
            if outcome.error is None and outcome.job.then is not None:
                outcome.job.then(outcome.value)
        if events:
            self._publish(events)
        for outcome in outcomes:
            future = outcome.job.future
            if future is None or future.done():
                continue
            if outcome.error is not None:
                future.set_exception(outcome.error)
            else:
                future.set_result(outcome.value)


def _lock(path: Path) -> int:
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
    make_room: Callable[[], bool] = lambda: False,
    reserve: int = 0,
    before: Callable[[], None] = lambda: None,
) -> Store:
    """Lock, check, open and migrate the store; call from a running event loop.

    ``make_room`` is asked, from the writer's thread, when the disk is full; ``reserve``
    bytes are set aside for the store to grow into. ``before`` may refuse a whole store,
    before anything is written to it.

    Raises:
        HiveError: ``store_locked`` if another hived has it, ``config_invalid`` if
            the file is newer than this program or no file, ``unavailable`` or
            ``disk_full`` if it is damaged or cannot be read or written.
    """
    held = _lock(lock)
    examination = None
    try:
        examination = examine.examine(database)
        if examination is not None:
            examination.wait(examine.START_S)
        before()
        writer, reader = _open(database, make_room)
    except BaseException:
        if examination is not None:
            examination.close()
        os.close(held)
        raise
    return Store(
        writer,
        reader,
        held,
        make_room=make_room,
        reserve=reserve,
        examination=examination,
    )


def _open(
    database: Path, make_room: Callable[[], bool]
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
            migrations.migrate(writer)
        except DatabaseError as error:
            found = failures.cause(error)
            if found is None:
                raise
            if last or not failures.may_be_full(found) or not make_room():
                raise failures.refusal(found) from error
        else:
            break
        finally:
            writer.close()  # each thread has a connection of its own
    return writer, reader
