"""The writer thread: group commit, and writes that must not get lost.

All queued writes run in one transaction, each in a savepoint. If the transaction fails,
none of them happened, and callers waiting for a write get the reason. Writes for which
nobody waits, and those already in effect in memory (``keep``), are kept and written
first, in order, as soon as the store accepts them: with the next write, or by
themselves after ``retry_s``. If too many events are kept, the oldest are given up.
"""

import asyncio
import contextlib
import logging
import queue
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from peewee import DatabaseError, PeeweeException, SqliteDatabase

from pyglue.api.events import Event
from pyglue.errors import HiveError
from pyglue.files.disk_space import Reserve
from pyglue.store import failures
from pyglue.store.tx import Tx

_BATCH_MAX: Final = 256
_EVENTS_MAX: Final = 2000
"""The most events that are kept; the oldest are given up."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, kw_only=True)
class Job:
    """A write: ``fn`` in a transaction, then ``then`` in the event loop."""

    fn: Callable[[Tx], Any]
    future: asyncio.Future[Any] | None = None
    then: Callable[[Any], None] | None = None
    keep: bool = True
    """Write it later if that is impossible now."""
    event: bool = False
    """It is just an event, which may be given up."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a job."""

    job: Job
    value: Any
    error: Exception | None


class Writer:
    """Owns the writing connection; ``database`` queues jobs and gets the outcomes."""

    def __init__(
        self,
        database: SqliteDatabase,
        done: Callable[[list[Outcome], list[Event]], None],
        damaged: Callable[[HiveError], None],
        *,
        make_space: Callable[[], bool],
        reserve: int,
        retry_s: float,
    ) -> None:
        self._database = database
        self._place = Path(database.database).parent
        self._done = done
        self._damaged = damaged
        self._make_space = make_space
        self._reserve = reserve
        self._retry_s = retry_s
        self._reserves: tuple[Reserve, ...] = ()
        self.problem: str | None = None
        """Why writes are kept instead of made; None if none are."""
        self._kept: deque[Job] = deque()
        self._why = ""
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(
            target=self._run, name="store-write", daemon=True
        )
        self._thread.start()

    def put(self, job: Job) -> None:
        """Queue a write."""
        self._queue.put(job)

    def close(self) -> None:
        """Finish what is queued; blocks until then."""
        self._queue.put(None)
        self._thread.join()
        for reserve in self._reserves:
            reserve.release()

    def keep_reserve(self) -> None:
        """Reserve the space again that has been used."""
        for reserve in self._reserves:
            reserve.keep()

    # --- the thread -------------------------------------------------------------------

    def _run(self) -> None:
        self._identify()
        self._set_aside()
        last = False
        while not last:
            batch, last = self._batch()
            if batch or self._kept:
                self._commit(batch)
        if self._kept:
            _log.error("hived is stopping: %d writes were lost", len(self._kept))
        self._database.close()

    def _batch(self) -> tuple[list[Job], bool]:
        """Wait for writes; return them, and whether they are the last ones."""
        batch: list[Job] = []
        try:
            job = self._queue.get(timeout=self._retry_s if self._kept else None)
            while job is not None:
                batch.append(job)
                if len(batch) == _BATCH_MAX:
                    return batch, False
                job = self._queue.get_nowait()
        except queue.Empty:
            return batch, False
        return batch, True

    def _identify(self) -> None:
        """Give the store its ID, so that the log of another store is recognised.

        Writing it, even again, puts its page into the log of this run.
        """
        database = self._database
        try:
            (found,) = database.execute_sql("PRAGMA application_id").fetchone()
            number = found or 1 + secrets.randbelow(2**31 - 1)
            database.execute_sql(f"PRAGMA application_id = {number}")
        except PeeweeException as error:  # a full disk, for one
            _log.warning("could not write the store's id: %s", error)

    def _set_aside(self) -> None:
        """Reserve space behind the database and its log, which exists once read."""
        if not self._reserve:
            return
        database = Path(self._database.database)
        log = database.with_name(f"{database.name}-wal")
        try:
            self._database.execute_sql("SELECT count(*) FROM sqlite_master")
            self._reserves = tuple(
                Reserve(one, self._reserve) for one in (database, log)
            )
            self.keep_reserve()
        except (PeeweeException, OSError) as error:
            _log.warning("could not reserve disk space for the store: %s", error)

    def _commit(self, batch: list[Job]) -> None:
        """Write the kept writes, then ``batch``; if that fails, ``batch`` alone."""
        kept, self._kept = list(self._kept), deque()
        try:
            outcomes, events = self._transact([*kept, *batch])
        except Exception as error:
            self._kept.extend(kept)
            found = failures.cause(error)
            locked = found is not None and failures.may_wait(found)
            if kept and batch and not locked:
                outcomes, events = self._alone(batch)
            else:
                outcomes, events = self._failed(batch, error), []
        self._say()
        self._done(outcomes, events)

    def _say(self) -> None:
        count = len(self._kept)
        if count:
            self.problem = (
                f"{self._why} {count} writes are kept in memory until they can be "
                "made. Do not stop the hive before then."
            )
        elif self.problem is not None:
            _log.warning("the kept writes have been made")
            self.problem = None

    def _alone(self, batch: list[Job]) -> tuple[list[Outcome], list[Event]]:
        try:
            return self._transact(batch)
        except Exception as error:
            return self._failed(batch, error), []

    def _failed(self, batch: list[Job], error: Exception) -> list[Outcome]:
        """Nothing of ``batch`` was written: keep the writes that must not get lost."""
        refusal = failures.refusal(error, self._place)
        found = failures.cause(error)
        if found is not None and failures.is_damage(found):
            self._damaged(refusal)
        else:
            unknown = error if found is None else None
            _log.error("a transaction failed: %s", refusal.message, exc_info=unknown)
        self._why = refusal.message
        self._kept.extend(job for job in batch if job.keep)
        many = sum(job.event for job in self._kept) - _EVENTS_MAX
        if many > 0:
            events = [job for job in self._kept if job.event]
            lost = set(events[:many])
            self._kept = deque(job for job in self._kept if job not in lost)
        return [Outcome(job, None, refusal) for job in batch]

    def _transact(self, batch: list[Job]) -> tuple[list[Outcome], list[Event]]:
        """Run a batch in one transaction; once more if space could be freed for it."""
        for last in (False, True):
            try:
                return self._transaction(batch)
            except Exception as error:
                found = failures.cause(error)
                full = found is not None and failures.may_be_full(found)
                if last or not full or not self._make_space():
                    raise
        raise AssertionError  # the second attempt returns or raises

    def _transaction(self, batch: list[Job]) -> tuple[list[Outcome], list[Event]]:
        database = self._database
        events: list[Event] = []
        try:
            database.begin("IMMEDIATE")  # queues for the lock, unlike a later upgrade
            outcomes = [self._one(job, events) for job in batch]
            database.commit()
        except BaseException:
            self._roll_back()
            raise
        return outcomes, events

    def _roll_back(self) -> None:
        """End the transaction, by closing the connection if nothing else helps."""
        database = self._database
        with contextlib.suppress(PeeweeException):  # SQLite may already have ended it
            database.rollback()
        if not database.is_closed() and database.connection().in_transaction:
            database.close()  # the next statement opens another one

    def _one(self, job: Job, events: list[Event]) -> Outcome:
        tx = Tx(self._database, time.time())
        try:
            with self._database.savepoint():
                value = job.fn(tx)
        except HiveError as error:
            return Outcome(job, None, error)
        except Exception as error:
            found = failures.cause(error)
            if found is not None and failures.ends_transaction(found):
                raise DatabaseError(found, *found.args) from error
            if job.future is None or job.future.done():
                _log.exception("a background write failed")
            return Outcome(job, None, error)
        events += tx.events
        return Outcome(job, value, None)
