"""A statement of a transaction fails: nothing of it happened, and the disk's error
reaches the caller, whatever becomes of the transaction then.
"""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from checks.kits.patience import PATIENCE_S
from checks.kits.store.disk import small_disk
from checks.kits.store.faults import SAID, Fault, Faults
from pyglue.api.events import Event, HiveWarning
from pyglue.api.inbox import InboxFilter, InboxParams
from pyglue.errors import ErrorCode
from pyglue.store import failures, inboxes, messages
from pyglue.store.database import Store, Tx, open_store
from pyglue.store.failures import StoreError
from pyglue.store.messages import NewMessage

NEVER_S = 3600.0
"""Nothing is tried again by itself."""


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
async def store(tmp_path: Path, faults: Faults) -> AsyncIterator[Store]:
    with faults.around():
        opened = open_store(tmp_path / "hive.db", tmp_path / "lock", retry_s=NEVER_S)
    await opened.write(lambda _: None)
    yield opened
    faults.heal()
    await opened.close()


def note(tx: Tx, text: str) -> int:
    new = NewMessage(sender="a", recipient="b", body=text)
    return messages.insert(tx, new).id


async def bodies(store: Store) -> list[str]:
    asked = InboxParams(show=InboxFilter.ALL, limit=5000)
    found = await store.read(lambda reader: inboxes.inbox(reader, "b", asked))
    return [entry.body for entry in reversed(found.messages)]


@contextlib.asynccontextmanager
async def one_transaction(store: Store) -> AsyncIterator[None]:
    """Let all that is queued inside be written at once, however slow this is."""
    writing, queued = threading.Event(), threading.Event()

    def wait(_: Tx) -> None:
        writing.set()
        queued.wait()

    store.post(wait)
    await asyncio.to_thread(writing.wait)
    try:
        yield
    finally:
        queued.set()


@pytest.mark.parametrize("times", [1, 2, 100], ids=["once", "twice", "for-a-while"])
@pytest.mark.parametrize("fault", Fault)
async def test_the_disks_error_is_said_wherever_it_comes(
    store: Store, faults: Faults, fault: Fault, times: int
) -> None:
    """Also when SQLite, or the next failure, ends the transaction."""
    for at in range(20):
        faults.arm(at, fault, times=times)
        writing = store.write(lambda tx, at=at: note(tx, f"{at}"))
        try:
            await writing
        except StoreError as error:
            assert SAID[fault] in error.message
            full = fault is Fault.FULL
            assert (error.code is ErrorCode.DISK_FULL) is full
            for word in ("rollback", "commit", "savepoint", "transaction"):
                assert word not in error.message
            assert faults.fired
        finally:
            faults.heal()
        if not faults.fired:
            break
        assert await bodies(store) == []
        assert store.problem is None
    assert at == 6  # BEGIN, SAVEPOINT, INSERT, INSERT, RELEASE, COMMIT
    assert await bodies(store) == ["6"]


@pytest.mark.parametrize("fault", Fault)
async def test_a_read_says_it_too(
    store: Store, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        faults = Faults()
        faults.arm(0, fault)
        with contextlib.closing(sqlite3.connect(":memory:")) as nothing:
            faults._run("SELECT", nothing)

    monkeypatch.setattr(store._reader_db, "execute_sql", fails)
    with pytest.raises(StoreError, match=SAID[fault]):
        await store.read(lambda reader: reader.execute("SELECT 1"))


@pytest.mark.parametrize("fault", Fault)
async def test_what_nobody_waits_for_is_made_later_and_first(
    store: Store, faults: Faults, fault: Fault
) -> None:
    for at in range(20):
        async with one_transaction(store):
            faults.arm(at, fault, next_one=True)
            store.post(lambda tx, at=at: note(tx, f"posted {at}"))
            store.emit(None, HiveWarning(text="hello"))
            kept = store.write(lambda tx, at=at: note(tx, f"kept {at}"), keep=True)
        await asyncio.wait([kept])
        assert faults.fired is (kept.exception() is not None)
        if not faults.fired:
            break
        await store.write(lambda tx, at=at: note(tx, f"then {at}"))
        assert (await bodies(store))[-3:] == [
            *(f"posted {at}", f"kept {at}", f"then {at}")
        ]
    assert at > 8
    assert store.problem is None


async def test_it_is_made_by_itself_as_soon_as_it_can_be(tmp_path: Path) -> None:
    faults, done = Faults(), asyncio.Event()
    with faults.around():
        store = open_store(tmp_path / "hive.db", tmp_path / "lock", retry_s=0.001)
    await store.write(lambda _: None)
    faults.arm(0, Fault.READONLY, times=50)
    store.post(lambda tx: note(tx, "posted"), then=lambda _: done.set())
    async with asyncio.timeout(PATIENCE_S):
        await done.wait()
    assert faults.fired
    assert await bodies(store) == ["posted"]
    assert store.problem is None
    await store.close()


async def test_that_writes_are_kept_is_said(store: Store, faults: Faults) -> None:
    faults.arm(0, Fault.READONLY, times=100)
    store.post(lambda tx: note(tx, "posted"))
    with pytest.raises(StoreError):
        await store.write(lambda tx: note(tx, "refused"))
    assert store.problem is not None
    assert "read-only file system" in store.problem
    assert "1 writes are kept in memory" in store.problem


async def test_one_write_that_can_never_be_made_does_not_stop_the_others(
    store: Store, faults: Faults
) -> None:
    tries: list[int] = []

    def fails(tx: Tx) -> None:
        tries.append(1)
        faults.arm(0, Fault.CORRUPT)
        tx.execute("SELECT 1")

    async with one_transaction(store):
        store.post(fails)
        beside = store.write(lambda tx: note(tx, "with it"))
    with pytest.raises(StoreError):
        await beside
    await store.write(lambda tx: note(tx, "after it"))
    assert await bodies(store) == ["after it"]
    assert len(tries) == 2


async def test_only_events_are_given_up(
    store: Store, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyglue.store.writer._EVENTS_MAX", 2)
    published: list[Event] = []
    store.on_events(published.extend)
    faults.arm(0, Fault.FULL, times=10_000)
    for number in range(5):
        store.post(lambda tx, n=number: note(tx, str(n)))
        store.emit(None, HiveWarning(text=str(number)))
    with pytest.raises(StoreError):
        await store.write(lambda _: None)
    faults.heal()
    await store.write(lambda _: None)
    assert await bodies(store) == ["0", "1", "2", "3", "4"]
    texts = [e.read().text for e in published if e.kind == HiveWarning.KIND]  # type: ignore[union-attr]
    assert texts == ["3", "4"]


async def test_what_follows_a_commit_keeps_no_caller_waiting(store: Store) -> None:
    def fails(_: object) -> None:
        raise ValueError

    store.on_events(fails)
    async with asyncio.timeout(PATIENCE_S):
        assert await store.write(lambda tx: note(tx, "one"), then=fails) == 1


async def test_a_rollback_that_fails_ends_with_its_connection(
    store: Store, faults: Faults
) -> None:
    faults.arm(3, Fault.CORRUPT, times=3)  # ROLLBACK TO and ROLLBACK too
    with pytest.raises(StoreError):
        await store.write(lambda tx: note(tx, "lost"))
    assert faults.statements[-1] == "ROLLBACK"
    await store.write(lambda tx: note(tx, "one"))
    assert await bodies(store) == ["one"]


# --- what SQLite only calls an I/O error ----------------------------------------------


def io_error() -> sqlite3.Error:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
    return error


def test_an_io_error_of_a_good_disk_is_one(tmp_path: Path) -> None:
    refusal = failures.refusal(io_error(), tmp_path)
    assert refusal.code is ErrorCode.UNAVAILABLE
    assert refusal.message.startswith("Reading or writing the store failed.")


@pytest.mark.needs("root")
def test_an_io_error_of_a_full_disk_is_that(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1) as disk:
        (disk / "full").write_bytes(bytes(512 * 1024))
        refusal = failures.refusal(io_error(), disk)
    assert refusal.code is ErrorCode.DISK_FULL
    assert "no space left on device" in refusal.message


@pytest.mark.needs("root")
def test_an_io_error_of_a_read_only_disk_is_that(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1, read_only=True) as disk:
        refusal = failures.refusal(io_error(), disk)
    assert "read-only file system" in refusal.message
