"""A full disk: what still works, what is refused, and automatic recovery."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from checks.kits.host.store import Kit, open_kit
from checks.kits.store.disk import MIB, fill, free, small_disk
from pyglue.api.audit import AuditExportParams
from pyglue.api.inbox import InboxFilter, InboxParams
from pyglue.config import DiskConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.files.disk_space import Ballast, Reserve
from pyglue.host.control.disk_space import Disk, Space
from pyglue.host.core import audit_log
from pyglue.host.core.audit import Audit
from pyglue.host.core.registry import with_free_space
from pyglue.names import OPERATOR
from pyglue.store import inboxes, messages
from pyglue.store.database import RESERVE, Store, Tx, open_store
from pyglue.store.messages import NewMessage

pytestmark = pytest.mark.needs("root")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 64) as mounted:
        yield mounted


def note(tx: Tx, text: str) -> int:
    new = NewMessage(sender="a", recipient="b", body=text)
    return messages.insert(tx, new).id


async def bodies(store: Store) -> list[str]:
    asked = InboxParams(show=InboxFilter.ALL, limit=100)
    found = await store.read(lambda reader: inboxes.inbox(reader, "b", asked))
    return [entry.body[:20] for entry in found.messages]


# --- what is set aside ------------------------------------------------------------


def test_the_ballast_makes_room_once_and_is_made_again(disk: Path) -> None:
    ballast = Ballast(disk / "ballast", 8 * MIB)
    ballast.make()
    assert ballast.missing == 0
    fill(disk / "full")
    assert free(disk) < MIB
    assert ballast.give_up()
    assert free(disk) >= 8 * MIB
    assert ballast.missing == 8 * MIB
    fill(disk / "full")
    assert not ballast.give_up()
    (disk / "full").unlink()
    ballast.make()
    assert ballast.missing == 0


def test_a_disk_without_room_for_the_ballast_keeps_what_it_has(disk: Path) -> None:
    Ballast(disk / "ballast", 128 * MIB).make()
    assert free(disk) > 60 * MIB


def test_the_ballast_holds_files_too(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64, files=200) as disk:
        ballast = Ballast(disk / "ballast", MIB)
        ballast.make()
        made = 0
        with pytest.raises(OSError, match="No space"):
            while True:
                (disk / f"file{made}").touch()
                made += 1
        assert ballast.give_up()
        (disk / "again").touch()


def test_nobody_else_gets_what_is_reserved_behind_a_file(disk: Path) -> None:
    grows = disk / "grows"
    grows.write_bytes(b"begin")
    reserve = Reserve(grows, 4 * MIB)
    reserve.keep()
    fill(disk / "full")
    with grows.open("ab", buffering=0) as file:
        assert file.write(b"x" * (3 * MIB)) == 3 * MIB
    assert grows.stat().st_size == 3 * MIB + 5
    before = free(disk)
    reserve.release()
    assert free(disk) > before


# --- the store --------------------------------------------------------------------


async def test_the_store_goes_on_in_its_reserve(disk: Path) -> None:
    store = open_store(disk / "hive.db", disk / "lock", reserve=RESERVE)
    await store.write(lambda tx: note(tx, "before"))
    fill(disk / "full")
    for number in range(20):
        text = f"{number} " + "x" * 100_000
        await store.write(lambda tx, text=text: note(tx, text))
    assert len(await bodies(store)) == 21
    await store.close()


async def test_a_full_store_says_so_and_takes_the_ballast(disk: Path) -> None:
    ballast = Ballast(disk / "ballast", 8 * MIB)
    ballast.make()
    asked = []

    def make_space() -> bool:
        asked.append(True)
        return len(asked) > 1 and ballast.give_up()

    store = open_store(disk / "hive.db", disk / "lock", make_space=make_space)
    large = "x" * MIB
    await store.write(lambda tx: note(tx, "before"))
    fill(disk / "full")
    with pytest.raises(HiveError, match="The disk is full") as refused:
        for _ in range(10):  # its log may have some blocks already
            await store.write(lambda tx: note(tx, large))
    assert refused.value.code is ErrorCode.DISK_FULL
    assert "cannot rollback" not in refused.value.message
    stored = len(await bodies(store))
    await store.write(lambda tx: note(tx, large))
    assert len(await bodies(store)) == stored + 1
    await store.close()


async def test_what_was_posted_on_a_full_disk_is_written_later(disk: Path) -> None:
    store = open_store(disk / "hive.db", disk / "lock")
    await store.write(lambda tx: note(tx, "before"))
    fill(disk / "full")
    large = "posted " + "x" * (8 * MIB)
    store.post(lambda tx: note(tx, large))
    with pytest.raises(HiveError):
        await store.write(lambda tx: note(tx, large))
    (disk / "full").unlink()
    await store.write(lambda tx: note(tx, "after"))
    await store.write(lambda tx: note(tx, "last"))
    assert sorted(await bodies(store)) == [
        *("after", "before", "last", "posted xxxxxxxxxxxxx")
    ]
    await store.close()


# --- the audit log ----------------------------------------------------------------


def test_lines_are_kept_and_written_in_order(disk: Path) -> None:
    audit = Audit(disk / "audit.jsonl", disk / "audit.key")
    audit.record("op", "first", None, {})
    fill(disk / "full")
    pad = "x" * 8192  # more than what is left of the log's last block
    for what in ("pause_all", "stop", "deny"):
        audit.record("op", what, None, {"pad": pad})
    assert audit.problem is not None
    assert "3 lines are kept" in audit.problem
    with pytest.raises(HiveError, match="No decision was recorded") as refused:
        audit.ready()
    assert refused.value.code is ErrorCode.UNAVAILABLE
    (disk / "full").unlink()
    audit.record("op", "resume_all", None, {})
    assert audit.problem is None
    audit.ready()
    verdict = audit_log.verify(audit.path, audit.key, audit.head_path)
    assert (verdict.ok, verdict.lines) == (True, 5)
    entries = audit_log.export(audit.path, AuditExportParams()).entries
    assert [one.what for one in entries] == [
        *("first", "pause_all", "stop", "deny", "resume_all")
    ]
    assert [one.at for one in entries] == sorted(one.at for one in entries)
    audit.close()


def test_the_audit_log_asks_for_room(disk: Path) -> None:
    ballast = Ballast(disk / "ballast", 4 * MIB)
    ballast.make()
    audit = Audit(disk / "audit.jsonl", disk / "audit.key", make_space=ballast.give_up)
    fill(disk / "full")
    audit.record("op", "stop", None, {"pad": "x" * 8192})
    assert audit.problem is None
    assert ballast.missing
    audit.close()


# --- agents -----------------------------------------------------------------------


@pytest.fixture
async def kit(disk: Path) -> AsyncIterator[Kit]:
    opened = await open_kit(disk)
    yield opened
    await opened.store.close()
    opened.audit.close()


def space_of(kit: Kit, disk: Path) -> Space:
    return Space(
        disk=Disk(disk, DiskConfig(ballast_mib=2, reserve_mib=6)),
        store=kit.store,
        registry=kit.registry,
        transitions=kit.transitions,
        broker=kit.broker,
        controls=kit.controls,
        audit=kit.audit,
    )


async def unread(kit: Kit) -> list[str]:
    found = await kit.store.read(lambda reader: messages.peek(reader, OPERATOR, 100))
    return [message.body for message in found]


async def test_agents_are_held_below_the_reserve_and_go_on(
    kit: Kit, disk: Path
) -> None:
    space, alice = space_of(kit, disk), await kit.agent("alice")
    await space.look()
    assert (space.warnings, kit.registry.paused(alice)) == ((), None)
    assert (disk / "ballast/blocks").stat().st_size == 2 * MIB

    async def kept(text: str) -> str:
        return text

    call = with_free_space(kit.registry, alice, kept)
    assert await call("hello") == "hello"

    full = disk / "full"
    with full.open("wb") as file:
        file.write(b"x" * (free(disk) - 5 * MIB + MIB // 2))
    await space.look()
    await space.look()
    assert "The disk is full: 4 MiB are free" in (kit.registry.paused(alice) or "")
    assert space.warnings == (kit.registry.disk_full,)
    with pytest.raises(HiveError, match="The disk is full") as refused:
        await call("hello")
    assert refused.value.code is ErrorCode.DISK_FULL

    full.unlink()
    await space.look()
    assert not space.warnings
    assert kit.registry.paused(alice) is None
    told = await unread(kit)
    assert len(told) == 2
    assert told[0].startswith("The disk is full")
    assert told[1] == "There is enough disk space again."
    assert [what for _, what, _ in kit.audited()] == ["disk_full", "disk_room"]


async def test_a_little_room_is_not_yet_enough(kit: Kit, disk: Path) -> None:
    space, alice = space_of(kit, disk), await kit.agent("alice")
    await space.look()
    full = disk / "full"
    size = free(disk) - 5 * MIB
    full.write_bytes(b"x" * size)
    await space.look()
    full.write_bytes(b"x" * (size - MIB - MIB // 4))
    await space.look()
    assert kit.registry.paused(alice) is not None, "it would begin and end each minute"


# --- other things that may be wrong with a store ----------------------------------


async def test_a_write_waits_for_a_lock_of_another_program(tmp_path: Path) -> None:
    store = open_store(tmp_path / "hive.db", tmp_path / "lock")
    await store.write(lambda tx: note(tx, "one"))
    with sqlite3.connect(tmp_path / "hive.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")

        def read_first(tx: Tx) -> int:
            messages.waiting(tx, "b")
            return note(tx, "two")

        waiting = asyncio.ensure_future(store.write(read_first))
        done, _ = await asyncio.wait({waiting}, timeout=0.5)
        assert not done
        other.execute("COMMIT")
    assert await waiting == 2
    await store.close()


async def test_a_damaged_store_is_named(tmp_path: Path) -> None:
    store = open_store(tmp_path / "hive.db", tmp_path / "lock")
    await store.close()
    (tmp_path / "hive.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(HiveError, match=r"damaged.*hive restore-backup"):
        open_store(tmp_path / "hive.db", tmp_path / "lock")
