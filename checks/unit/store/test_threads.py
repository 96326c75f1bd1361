"""The thread of a message, and the pairs who wrote to each other."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pyglue.api.inbox import PairsParams, ThreadParams
from pyglue.errors import ErrorCode, HiveError
from pyglue.names import OPERATOR
from pyglue.store import inboxes, messages
from pyglue.store.database import Store, open_store
from pyglue.store.messages import NewMessage


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = open_store(tmp_path / "hive.db", tmp_path / "lock")
    yield opened
    await opened.close()


async def post(store: Store, to: str, body: str, reply_to: int | None = None) -> int:
    new = NewMessage(sender="ann", recipient=to, body=body, reply_to=reply_to)
    return (await store.write(lambda tx: messages.insert(tx, new))).id


async def thread(store: Store, number: int, clip: int = 100) -> list[str]:
    asked = ThreadParams(id=number, clip=clip)
    found = await store.read(lambda it: inboxes.thread(it, asked))
    return [one.body for one in found.messages] + ["and more"] * found.more


async def test_a_thread_is_what_leads_to_a_message_and_all_that_answers(
    store: Store,
) -> None:
    first = await post(store, "bob", "first")
    other = await post(store, "bob", "another thread")
    second = await post(store, "cat", "second", first)
    await post(store, "bob", "beside", first)
    third = await post(store, "cat", "third", second)
    whole = ["first", "second", "beside", "third"]
    for number in (first, second, third):
        assert await thread(store, number) == whole
    assert await thread(store, other) == ["another thread"]
    assert await thread(store, second, clip=2) == ["fi", "second", "be", "th"]
    with pytest.raises(HiveError) as caught:
        await thread(store, 999)
    assert caught.value.code is ErrorCode.NOT_FOUND


async def test_a_long_thread_has_the_message_and_says_that_there_is_more(
    store: Store,
) -> None:
    numbers = [await post(store, "bob", "0")]
    for step in range(1, 250):
        numbers.append(await post(store, "bob", str(step), numbers[-1]))
    assert (await thread(store, numbers[0]))[-1] == "and more"
    middle = await thread(store, numbers[120])
    assert middle[0] == "20" and "120" in middle and middle[-1] == "and more"
    last = await thread(store, numbers[-1])
    assert (last[0], last[-2:]) == ("149", ["249", "and more"])


async def test_a_thread_whose_beginning_is_gone_is_still_one(store: Store) -> None:
    first = await post(store, "bob", "first")
    await post(store, "bob", "second", first)
    third = await post(store, "bob", "third", first)
    await store.write(lambda tx: tx.execute("DELETE FROM message WHERE id = ?", first))
    assert await thread(store, third) == ["second", "third"]


async def test_pairs_are_counted_in_both_directions_and_newest_first(
    store: Store,
) -> None:
    for to in ("bob", "bob", OPERATOR):
        last = await post(store, to, "text")
    back = NewMessage(sender="bob", recipient="ann", body="text", reply_to=last)
    await store.write(lambda tx: messages.insert(tx, back))
    found = await store.read(lambda it: inboxes.pairs(it, PairsParams()))
    assert [(one.one, one.other, one.messages) for one in found.pairs] == [
        ("ann", "bob", 3),
        ("ann", OPERATOR, 1),
    ]
    assert (found.counted, found.more) == (4, False)
    only = await store.read(lambda it: inboxes.pairs(it, PairsParams(agent=OPERATOR)))
    assert [one.one for one in only.pairs] == ["ann"]
    none = await store.read(lambda it: inboxes.pairs(it, PairsParams(agent="cat")))
    assert none.pairs == ()


async def test_of_many_messages_only_the_newest_are_counted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inboxes, "_PAIRED", 2)
    for to in ("old", "bob", "bob"):
        await post(store, to, "text")
    found = await store.read(lambda it: inboxes.pairs(it, PairsParams()))
    assert [(one.other, one.messages) for one in found.pairs] == [("bob", 2)]
    assert (found.counted, found.more) == (2, True)
