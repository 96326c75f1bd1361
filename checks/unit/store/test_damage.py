"""Damaged stores: each is reported with what to do, at the start or when found."""

import asyncio
import contextlib
import os
import re
import shutil
import sqlite3
from pathlib import Path
from typing import Final

import pytest

from pyglue.errors import ErrorCode, HiveError
from pyglue.store import examine, messages, rebuild
from pyglue.store.database import Reader, Store, Tx, open_store
from pyglue.store.messages import NewMessage

PAGE: Final = 4096
PAGES: Final = range(1, 21)
REMEDY: Final = (
    "restore a backup into an empty directory (hive restore-backup FILE --into DIR), "
    "or rebuild what git and the audit log hold (hive doctor --repair --from-git)."
)


def opened(room: Path) -> Store:
    return open_store(room / "hive.db", room / "lock")


def note(tx: Tx, text: str) -> int:
    new = NewMessage(sender="a", recipient="b", body=text)
    return messages.insert(tx, new).id


async def fill(store: Store, *, count: int = 40) -> None:
    for number in range(count):
        await store.write(lambda tx, n=number: note(tx, f"{n} " * 500))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory whose store was closed: all of it is in the database."""
    room = tmp_path_factory.mktemp("whole")

    async def make() -> None:
        store = opened(room)
        await fill(store)
        await store.close()

    asyncio.run(make())
    assert (room / "hive.db").stat().st_size > PAGES.stop * PAGE
    return room


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory as a kill leaves it: commits are in the log only."""
    return asyncio.run(left_by_a_kill(tmp_path_factory.mktemp("killed")))


async def left_by_a_kill(room: Path, *, count: int = 40) -> Path:
    left = room / "left"
    left.mkdir(parents=True)
    store = opened(room)
    await fill(store, count=count)
    for name in ("hive.db", "hive.db-wal"):
        shutil.copy(room / name, left / name)
    await store.close()
    return left


def copied(source: Path, room: Path) -> Path:
    for path in source.glob("hive.db*"):
        shutil.copy(path, room / path.name)
    return room / "hive.db"


def contents(room: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in room.glob("hive.db*")
        if not path.name.endswith("-shm")
    }


async def refused(room: Path, match: str = "The store hive.db is damaged") -> HiveError:
    """See that it is refused in a sentence, and that nothing of it was changed."""
    before = contents(room)
    with pytest.raises(HiveError, match=match) as caught:
        opened(room)
    after = contents(room)
    assert {name: after[name] for name in before} == before
    assert "\n" not in caught.value.message
    return caught.value


DAMAGE: Final = {
    "zeros": bytes(PAGE),
    "ones": b"\xff" * PAGE,
    "noise": bytes(17 * n * n % 251 for n in range(PAGE)),
}


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("page", PAGES)
async def test_a_bad_page(whole: Path, tmp_path: Path, page: int, how: str) -> None:
    database = copied(whole, tmp_path)
    with database.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(DAMAGE[how])
    found = await refused(tmp_path)
    assert found.code is ErrorCode.UNAVAILABLE
    assert REMEDY in found.message


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("DROP TABLE message_failure", "no table message_failure"),
        ("ALTER TABLE quota RENAME COLUMN agent TO other", "no column quota.agent"),
        ("DROP TRIGGER inbox_grows", "no trigger inbox_grows"),
        ("PRAGMA user_version = 17; DROP TABLE control", "no table control"),
    ],
)
async def test_a_table_that_was_lost(
    whole: Path, tmp_path: Path, statement: str, found: str
) -> None:
    with contextlib.closing(sqlite3.connect(copied(whole, tmp_path))) as other:
        other.executescript(statement)
    refusal = await refused(tmp_path)
    assert f"(Found: {found}.)" in refusal.message
    assert REMEDY in refusal.message
    assert not rebuild.usable(tmp_path / "hive.db")


def test_a_whole_store_is_usable(whole: Path, tmp_path: Path) -> None:
    assert rebuild.usable(copied(whole, tmp_path))


@pytest.mark.parametrize("left", [1, 15, 16, 100, PAGE, 5 * PAGE, 20 * PAGE + 7])
async def test_a_truncated_database(whole: Path, tmp_path: Path, left: int) -> None:
    os.truncate(copied(whole, tmp_path), left)
    assert REMEDY in (await refused(tmp_path)).message


async def test_garbage(tmp_path: Path) -> None:
    (tmp_path / "hive.db").write_bytes(b"not a database" * 1000)
    assert REMEDY in (await refused(tmp_path)).message


@pytest.mark.parametrize("name", ["hive.db", "hive.db-wal", "hive.db-shm"])
@pytest.mark.parametrize("kind", ["directory", "fifo", "dead link"])
async def test_what_is_no_file(
    whole: Path, tmp_path: Path, name: str, kind: str
) -> None:
    copied(whole, tmp_path)
    place = tmp_path / name
    place.unlink(missing_ok=True)
    if kind == "directory":
        place.mkdir()
    elif kind == "fifo":
        os.mkfifo(place)  # opening it would wait for a writer
    else:
        place.symlink_to(tmp_path / "gone")
    with pytest.raises(HiveError) as caught:
        opened(tmp_path)
    assert caught.value.code is ErrorCode.CONFIG_INVALID
    says = {"directory": "a directory", "fifo": "regular file", "dead link": "link"}
    assert says[kind] in caught.value.message
    assert str(place) in caught.value.message


async def test_a_link_to_another_disk_is_fine(whole: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    copied(whole, disk)
    (tmp_path / "hive.db").symlink_to(disk / "hive.db")
    await opened(tmp_path).close()


@pytest.mark.parametrize("size", [None, 0])
async def test_a_new_store(tmp_path: Path, size: int | None) -> None:
    if size is not None:
        (tmp_path / "hive.db").write_bytes(b"")
    store = opened(tmp_path)
    assert await store.write(lambda tx: note(tx, "first")) == 1
    await store.close()


# --- the log ------------------------------------------------------------------------


async def test_a_log_that_a_kill_left_is_read(killed: Path, tmp_path: Path) -> None:
    copied(killed, tmp_path)
    store = opened(tmp_path)
    assert await store.read(lambda reader: messages.waiting(reader, "b")) == 40
    assert store.warning is None
    await store.close()


@pytest.mark.parametrize("at", [0, 8, 17, 24, 32 + 8, 32 + 30, 9000, 50_000])
async def test_a_damaged_log(killed: Path, tmp_path: Path, at: int) -> None:
    copied(killed, tmp_path)
    log = tmp_path / "hive.db-wal"
    with log.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 0x55]))
    found = await refused(tmp_path)
    assert "hive.db-wal" in found.message
    assert REMEDY in found.message


async def test_a_last_commit_that_a_power_failure_cut_off(
    killed: Path, tmp_path: Path
) -> None:
    copied(killed, tmp_path)
    log = tmp_path / "hive.db-wal"
    with log.open("r+b") as file:
        file.seek(-10, os.SEEK_END)
        file.write(b"torn")
    store = opened(tmp_path)
    assert await store.read(lambda reader: messages.waiting(reader, "b")) == 39
    assert store.warning is not None
    assert "last commit in hive.db-wal was incomplete" in store.warning
    await store.close()


async def test_the_log_of_another_store(
    killed: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    other = await left_by_a_kill(tmp_path_factory.mktemp("other"), count=50)
    copied(killed, tmp_path)
    await opened(tmp_path).close()  # the id is in the database itself now
    shutil.copy(other / "hive.db-wal", tmp_path / "hive.db-wal")
    found = await refused(tmp_path)
    assert "belongs to another database" in found.message


async def test_the_log_of_a_database_with_other_pages(
    whole: Path, tmp_path: Path
) -> None:
    copied(whole, tmp_path)
    with sqlite3.connect(tmp_path / "other") as other:
        other.execute("PRAGMA page_size = 8192")
        other.execute("PRAGMA journal_mode = wal")
        other.execute("CREATE TABLE t (x)")
        other.commit()
        shutil.copy(tmp_path / "other-wal", tmp_path / "hive.db-wal")
    other.close()
    found = await refused(tmp_path)
    assert "belongs to another database" in found.message


# --- found while it is open -----------------------------------------------------------


async def test_damage_found_by_a_statement_is_said_once(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await fill(store)
    told: list[str] = []
    store.on_damage(told.append)
    await store.write(lambda tx: tx.execute("SELECT 1"))
    await store.close()
    _spoil(tmp_path / "hive.db")
    with pytest.MonkeyPatch.context() as patch:  # it is damaged after the check
        patch.setattr(examine, "examine", lambda _database: None)
        store = opened(tmp_path)
    store.on_damage(told.append)

    def every(reader: Reader) -> None:
        reader.execute("SELECT sum(length(body)) FROM message").fetchone()

    for _ in range(3):
        with pytest.raises(HiveError, match=re.escape(REMEDY)):
            await store.read(every)
    with pytest.raises(HiveError, match=re.escape(REMEDY)):
        await store.write(lambda tx: tx.execute("UPDATE message SET body = body || 1"))
    store.post(lambda tx: tx.execute("UPDATE message SET body = body || 1"))
    assert await store.read(lambda _reader: 1) == 1  # what can be read still is
    assert len(told) == 1
    assert store.damage == told[0]
    assert REMEDY in told[0]
    await store.close()


def _spoil(database: Path) -> None:
    """Spoil the pages of messages, and none that is read when it is opened."""
    with sqlite3.connect(database) as reading:
        rows = reading.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'message'"
        )
        (root,) = rows.fetchone()
    reading.close()
    with database.open("r+b") as file:
        file.seek((root - 1) * PAGE)
        file.write(b"\xff" * PAGE)


async def test_a_check_that_takes_long_goes_on_behind_the_start(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _spoil(copied(whole, tmp_path))
    go_on = asyncio.Event()
    loop = asyncio.get_running_loop()
    look = examine.Examination._look

    def later(self: examine.Examination) -> None:
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()
        look(self)

    monkeypatch.setattr(examine.Examination, "_look", later)
    monkeypatch.setattr(examine, "START_S", 0.0)
    store = opened(tmp_path)
    found: asyncio.Future[str] = loop.create_future()
    store.on_damage(found.set_result)
    go_on.set()
    assert REMEDY in await found
    assert store.damage == found.result()
    await store.close()
