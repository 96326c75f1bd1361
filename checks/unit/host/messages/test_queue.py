"""The operator's control of a queue: listing, dropping and moving messages."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from checks.kits.host.store import Kit, open_kit, put
from pyglue.api.control import AfterCancel
from pyglue.api.messages import MessageKind, Priority, RecvParams
from pyglue.api.queue import QueueChangeParams, QueuedMessage, QueueParams
from pyglue.api.turns import TurnEndParams, TurnOutcome
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.agent import Receiver
from pyglue.host.messages.queue import Queue
from pyglue.names import OPERATOR
from pyglue.store.messages import NewMessage

NOW = RecvParams(max=32)


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    opened = await open_kit(tmp_path)
    await opened.agent("alice")
    await opened.agent("bob")
    yield opened
    await opened.store.close()


@pytest.fixture
def queue(kit: Kit) -> Queue:
    return Queue(
        store=kit.store,
        registry=kit.registry,
        transitions=kit.transitions,
        broker=kit.broker,
        audit=kit.audit,
    )


async def sent(kit: Kit, body: str, sender: str = OPERATOR, **more: Any) -> int:
    new = NewMessage(sender=sender, recipient="alice", body=body, **more)
    return (await kit.broker.post(new)).id


async def listed(queue: Queue) -> tuple[QueuedMessage, ...]:
    return (await queue.list(QueueParams(agent="alice"))).messages


async def ids(queue: Queue) -> list[int]:
    return [message.id for message in await listed(queue)]


def of(message: int, **more: Any) -> QueueChangeParams:
    return QueueChangeParams(agent="alice", message=message, **more)


async def begun(kit: Kit, holder: Receiver) -> int:
    await kit.broker.mailbox.recv(holder, NOW)
    return await kit.broker.mailbox.turn_start(holder, "haiku")


async def cancelled(kit: Kit, holder: Receiver, turn: int) -> None:
    end = TurnEndParams(turn=turn, outcome=TurnOutcome.CANCELLED)
    await kit.broker.mailbox.turn_end(holder, end)


async def test_what_is_held_and_queued_is_listed_in_order(
    kit: Kit, queue: Queue
) -> None:
    holder = Receiver(agent=kit.registry.get("alice"))
    first = await sent(kit, "first")
    turn = await begun(kit, holder)
    end = TurnEndParams(turn=turn, outcome=TurnOutcome.FAILED, reason="it broke")
    await kit.broker.mailbox.turn_end(holder, end)
    turn = await begun(kit, holder)
    low = await sent(kit, "low", priority=Priority.LOW)
    high = await sent(kit, "high", "bob", priority=Priority.HIGH)
    found = await listed(queue)
    assert [message.id for message in found] == [first, high, low]
    assert (found[0].leased, found[0].turn, found[0].deliveries) == (True, turn, 2)
    assert found[0].failures == 1
    assert "it broke" in found[0].reasons[0]
    assert [(m.leased, m.turn, m.failures) for m in found[1:]] == [(False, None, 0)] * 2
    short = await queue.list(QueueParams(agent="alice", limit=1, clip=2))
    assert (short.more, short.messages[0].body) == (2, "fi")


async def test_a_dropped_message_is_given_to_nobody_and_its_sender_hears_of_it(
    kit: Kit, queue: Queue
) -> None:
    kept, gone = await sent(kit, "kept"), await sent(kit, "gone", "bob")
    await queue.drop(of(gone), OPERATOR)
    assert await ids(queue) == [kept]
    got = await kit.broker.mailbox.recv(Receiver(agent=kit.registry.get("alice")), NOW)
    assert [message.id for message in got.messages] == [kept]
    (told,) = (
        await kit.broker.mailbox.recv(Receiver(agent=kit.registry.get("bob")), NOW)
    ).messages
    assert (told.kind, f"message {gone} to alice" in told.body) == (
        MessageKind.EVENT,
        True,
    )
    assert (OPERATOR, "message_dropped", "alice") in kit.audited()
    with pytest.raises(HiveError) as caught:
        await queue.drop(of(gone), OPERATOR)
    assert caught.value.code is ErrorCode.NOT_FOUND


async def test_what_is_moved_comes_after_all_others(kit: Kit, queue: Queue) -> None:
    one, two = await sent(kit, "1", priority=Priority.HIGH), await sent(kit, "2")
    await queue.later(of(two), OPERATOR)
    await queue.later(of(one), OPERATOR)
    three = await sent(kit, "3", priority=Priority.LOW)
    assert await ids(queue) == [three, two, one]
    assert [message.last for message in await listed(queue)] == [False, True, True]
    got = await kit.broker.mailbox.recv(Receiver(agent=kit.registry.get("alice")), NOW)
    assert [message.id for message in got.messages] == [three, two, one]
    assert (OPERATOR, "message_moved", "alice") in kit.audited()


async def test_a_turn_keeps_its_messages_unless_it_is_cancelled(
    kit: Kit, queue: Queue
) -> None:
    held = await sent(kit, "held")
    turn = await begun(kit, Receiver(agent=kit.registry.get("alice")))
    for change in (queue.drop, queue.later):
        with pytest.raises(HiveError, match=f"Turn {turn} of alice.*cancel") as caught:
            await change(of(held), OPERATOR)
        assert caught.value.code is ErrorCode.CONFLICT
    assert await ids(queue) == [held]


@pytest.mark.parametrize("drop", [True, False])
async def test_a_message_is_taken_out_of_a_turn_that_is_cancelled(
    kit: Kit, queue: Queue, drop: bool
) -> None:
    alice = kit.registry.get("alice")
    holder = Receiver(agent=alice)
    bad, good = await sent(kit, "bad"), await sent(kit, "good")
    turn = await begun(kit, holder)
    change = queue.drop if drop else queue.later
    changing = asyncio.create_task(change(of(bad, cancel_turn=True), OPERATOR))
    while not alice.cut_off and not changing.done():
        await asyncio.sleep(0)
    await cancelled(kit, holder, turn)
    await changing
    assert await ids(queue) == ([good] if drop else [good, bad])


async def test_a_message_on_its_way_to_a_harness_is_left_alone(
    kit: Kit, queue: Queue
) -> None:
    alice = kit.registry.get("alice")
    number = await sent(kit, "x")
    await kit.broker.mailbox.recv(Receiver(agent=alice, harness=True), NOW)
    put(alice, harness=object())
    with pytest.raises(HiveError, match="is being delivered to alice") as caught:
        await queue.drop(of(number), OPERATOR)
    assert caught.value.code is ErrorCode.CONFLICT


@pytest.mark.parametrize(
    ("then", "left"),
    [
        (AfterCancel.REQUEUE, [1, 2, 3]),
        (AfterCancel.LATER, [3, 1, 2]),
        (AfterCancel.DROP, [3]),
    ],
)
async def test_a_cancel_chooses_what_becomes_of_the_messages(
    kit: Kit, queue: Queue, then: AfterCancel, left: list[int]
) -> None:
    holder = Receiver(agent=kit.registry.get("alice"))
    assert (await sent(kit, "1"), await sent(kit, "2")) == (1, 2)
    turn = await begun(kit, holder)
    await sent(kit, "3")
    await queue.set_aside("alice", then, OPERATOR)
    await cancelled(kit, holder, turn)
    assert await ids(queue) == left
