"""The operator's marks (unread, read, done), and filters by them."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pyglue.api.inbox import InboxFilter, InboxParams
from pyglue.api.messages import Mark
from pyglue.errors import ErrorCode, HiveError
from pyglue.names import OPERATOR
from pyglue.store import inboxes, marks, messages
from pyglue.store.database import Store, Tx, open_store
from pyglue.store.messages import NewMessage
from pyglue.store.migrations import STEPS


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = open_store(tmp_path / "hive.db", tmp_path / "lock")
    yield opened
    await opened.close()


async def post(store: Store, to: str = OPERATOR) -> int:
    new = NewMessage(sender="ann", recipient=to, body="text")
    return (await store.write(lambda tx: messages.insert(tx, new))).id


async def mark(
    store: Store, as_: Mark, *ids: int, up_to: int | None = None
) -> list[tuple[int, str]]:
    """Return what is published."""

    def write(tx: Tx) -> list[Any]:
        marks.mark(tx, OPERATOR, as_, ids=ids, up_to=up_to)
        return [msgspec.json.decode(event.data) for event in tx.events]

    return [(one["id"], one["mark"]) for one in await store.write(write)]


async def shown(store: Store, show: InboxFilter, **asked: Any) -> list[int]:
    params = InboxParams(show=show, **{"limit": 9, **asked})
    found = await store.read(lambda it: inboxes.inbox(it, OPERATOR, params))
    return [one.id for one in found.messages]


async def test_only_what_changes_is_marked_and_published(store: Store) -> None:
    mine = [await post(store) for _ in range(4)]
    theirs = await post(store, "bob")
    assert await mark(store, Mark.READ, mine[1], theirs) == [(mine[1], "read")]
    assert await mark(store, Mark.READ, mine[1]) == []
    assert await mark(store, Mark.READ, up_to=mine[2]) == [
        (mine[0], "read"),
        (mine[2], "read"),
    ]
    assert await mark(store, Mark.DONE, mine[0]) == [(mine[0], "done")]
    assert await mark(store, Mark.READ, up_to=mine[2]) == []  # done stays done
    assert await mark(store, Mark.UNREAD, mine[0]) == [(mine[0], "unread")]
    assert await mark(store, Mark.DONE, up_to=mine[1]) == [
        (mine[0], "done"),
        (mine[1], "done"),
    ]
    assert await mark(store, Mark.READ, mine[0]) == [(mine[0], "read")]  # reopened
    assert await messages_waiting(store, "bob") == 1


async def messages_waiting(store: Store, name: str) -> int:
    return await store.read(lambda it: messages.waiting(it, name))


async def test_a_filter_shows_what_has_its_mark_page_by_page(store: Store) -> None:
    one, two, three, four = [await post(store) for _ in range(4)]
    await mark(store, Mark.READ, two)
    await mark(store, Mark.DONE, three)
    assert await shown(store, InboxFilter.OPEN) == [four, two, one]
    assert await shown(store, InboxFilter.UNREAD) == [four, one]
    assert await shown(store, InboxFilter.DONE) == [three]
    assert await shown(store, InboxFilter.ALL) == [four, three, two, one]
    assert await shown(store, InboxFilter.OPEN, limit=2) == [four, two]
    assert await shown(store, InboxFilter.OPEN, before=two) == [one]


async def test_only_unread_messages_fill_an_inbox(store: Store) -> None:
    number = await post(store)
    full = await store.read(lambda it: messages.inbox_bytes(it, OPERATOR))
    await mark(store, Mark.READ, number)
    assert await messages_waiting(store, OPERATOR) == 0
    assert await store.read(lambda it: messages.inbox_bytes(it, OPERATOR)) == 0
    await mark(store, Mark.UNREAD, number)
    assert await store.read(lambda it: messages.inbox_bytes(it, OPERATOR)) == full


async def test_what_is_unread_again_is_not_deleted(store: Store) -> None:
    number = await post(store)

    async def done_at() -> float | None:
        row = await store.read(
            lambda it: it.execute(
                "SELECT done_at FROM message WHERE id = ?", number
            ).fetchone()
        )
        found: float | None = row[0]
        return found

    await mark(store, Mark.READ, number)
    assert await done_at() is not None
    await mark(store, Mark.UNREAD, number)
    assert await done_at() is None


async def test_an_answer_marks_what_it_answers_done(store: Store) -> None:
    number, theirs = await post(store), await post(store, "bob")
    for one in (number, theirs, 999):
        await store.write(lambda tx, one=one: marks.answered(tx, OPERATOR, one))
    assert await shown(store, InboxFilter.DONE) == [number]
    assert await messages_waiting(store, "bob") == 1


@pytest.mark.parametrize(
    ("as_", "asked", "code", "why"),
    [
        (Mark.DONE, {"ids": (7,)}, ErrorCode.NOT_FOUND, "no message 7 in this inbox"),
        (Mark.UNREAD, {"up_to": 1}, ErrorCode.BAD_REQUEST, "give their ids"),
    ],
)
async def test_what_cannot_be_marked_is_refused(
    store: Store, as_: Mark, asked: dict[str, Any], code: ErrorCode, why: str
) -> None:
    await mark(store, Mark.READ, await post(store))
    with pytest.raises(HiveError, match=why) as caught:
        await store.write(lambda tx: marks.mark(tx, OPERATOR, as_, **asked))
    assert caught.value.code is code
    assert await shown(store, InboxFilter.UNREAD) == []


async def test_messages_of_others_cannot_be_marked(store: Store) -> None:
    theirs = await post(store, "bob")
    with pytest.raises(HiveError, match="no message"):
        await mark(store, Mark.DONE, theirs)
    assert await messages_waiting(store, "bob") == 1


async def test_what_was_read_before_an_update_is_done(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "hive.db")) as earlier:
        for statements in STEPS[:17]:
            for statement in statements:
                earlier.execute(statement)
        earlier.executemany(
            "INSERT INTO message (sender, recipient, body, kind, priority, sent_at, "
            "hop, state) VALUES ('ann', 'operator', 'text', 'message', 1, 0, 0, ?)",
            [("done",), ("waiting",)],
        )
        earlier.execute("PRAGMA user_version = 17")
        earlier.commit()
    opened = open_store(tmp_path / "hive.db", tmp_path / "lock")
    assert await shown(opened, InboxFilter.OPEN) == [2]
    assert await shown(opened, InboxFilter.DONE) == [1]
    await opened.close()
