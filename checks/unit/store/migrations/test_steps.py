"""Stores of other versions: each earlier one is migrated, whole or not at all."""

import sqlite3
from pathlib import Path

import pytest

from pyglue.errors import ErrorCode, HiveError
from pyglue.store import (
    agents,
    messages,
    migrations,
)
from pyglue.store.database import Store, Tx, open_store
from pyglue.store.messages import NewMessage
from pyglue.store.migrations import STEPS


def note(tx: Tx, text: str) -> int:
    new = NewMessage(sender="a", recipient="b", body=text)
    return messages.insert(tx, new).id


async def count(store: Store) -> int:
    return await store.read(lambda reader: messages.waiting(reader, "b"))


async def test_a_newer_store_is_refused_and_untouched(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "hive.db") as newer:
        newer.execute("PRAGMA user_version = 999")
    with pytest.raises(HiveError) as caught:
        open_store(tmp_path / "hive.db", tmp_path / "lock")
    assert caught.value.code is ErrorCode.CONFIG_INVALID
    assert "999" in caught.value.message


@pytest.mark.parametrize("version", range(1, len(STEPS)))
async def test_a_store_of_every_earlier_version_is_migrated(
    tmp_path: Path, version: int
) -> None:
    with sqlite3.connect(tmp_path / "hive.db") as earlier:
        for number, statements in enumerate(STEPS[:version]):
            for statement in statements:
                earlier.execute(statement)
            if number == 0:  # what was there from the first version on
                earlier.execute(
                    "INSERT INTO agent (name, role, wanted, created_at)"
                    " VALUES ('b', 'agent', 1, 1.0)"
                )
                earlier.execute(
                    "INSERT INTO message (sender, recipient, body, kind, priority,"
                    " sent_at, hop, state)"
                    " VALUES ('a', 'b', 'old', 'message', 0, 1.0, 0, 'waiting')"
                )
        earlier.execute(f"PRAGMA user_version = {version}")
    store = open_store(tmp_path / "hive.db", tmp_path / "lock")
    try:
        await store.write(lambda tx: note(tx, "new"))
        assert await count(store) == 2
        [row] = await store.read(agents.all_agents)
        assert (row.name, row.wanted) == ("b", True)
    finally:
        await store.close()


async def test_a_failed_upgrade_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "hive.db"
    await open_store(path, tmp_path / "lock").close()
    newer = (*STEPS, ("CREATE TABLE newer (id INTEGER)",), ("CREATE nonsense",))
    monkeypatch.setattr(migrations, "STEPS", newer)
    with pytest.raises(HiveError):
        open_store(path, tmp_path / "lock")
    with sqlite3.connect(path) as left:
        assert left.execute("PRAGMA user_version").fetchone() == (len(STEPS),)
        tables = left.execute("SELECT name FROM sqlite_schema").fetchall()
    assert ("newer",) not in tables
    monkeypatch.undo()  # the older program goes on with it
    await open_store(path, tmp_path / "lock").close()


async def test_an_interrupted_draft_of_an_earlier_version_resumes(
    tmp_path: Path,
) -> None:
    with sqlite3.connect(tmp_path / "hive.db") as earlier:
        for statements in STEPS[:9]:
            for statement in statements:
                earlier.execute(statement)
        earlier.executemany(
            "INSERT INTO operation (kind, agent, state, step, requested_by, created_at)"
            " VALUES (?, 'erin', 'running', 'rooms', 'operator', 1.0)",
            [("draft",), ("other",)],
        )
        earlier.execute("PRAGMA user_version = 9")
    await open_store(tmp_path / "hive.db", tmp_path / "lock").close()
    with sqlite3.connect(tmp_path / "hive.db") as now:
        found = now.execute("SELECT kind, step FROM operation ORDER BY id").fetchall()
    assert found == [("draft", "directories"), ("other", "rooms")]
