"""Messages: delivery, leases and turns, on a real store."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from checks.kits.host.messages import (
    NOW,
    WAIT,
    acked,
    crossing,
    end,
    holder,
    parks,
    send,
)
from checks.kits.host.store import Kit, open_kit, settled
from checks.kits.patience import PATIENCE_S
from pyglue.api.events import TurnStarted
from pyglue.api.inbox import InboxFilter, InboxParams
from pyglue.api.messages import MessageKind, Priority, RecvParams
from pyglue.api.turns import TurnOutcome
from pyglue.config import MessageLimits
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.agent import Receiver
from pyglue.store import inboxes, leases, messages
from pyglue.store.messages import NewMessage


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    opened = await open_kit(tmp_path)
    await opened.agent("manager")
    await opened.agent("alice")
    await opened.agent("bob")
    yield opened
    await opened.store.close()


async def test_a_message_waits_and_is_taken_once(kit: Kit) -> None:
    number = await send(kit, "alice", "bob", "hello")
    bob = holder(kit, "bob")
    taken = (await kit.broker.mailbox.recv(bob, NOW)).messages
    assert [(m.id, m.sender, m.body, m.redelivered) for m in taken] == [
        (number, "alice", "hello", False)
    ]
    assert (await kit.broker.mailbox.recv(bob, NOW)).messages == ()


async def test_a_parked_recv_wakes_at_once(kit: Kit) -> None:
    parked = await parks(kit, holder(kit, "bob"))
    await send(kit, "alice", "bob")
    async with asyncio.timeout(PATIENCE_S):
        assert len((await parked).messages) == 1


async def test_mail_that_comes_while_recv_looks_is_not_missed(kit: Kit) -> None:
    for number in range(50):
        parked = asyncio.create_task(kit.broker.mailbox.recv(holder(kit, "bob"), WAIT))
        for _ in range(number % 7):
            await asyncio.sleep(0)
        await send(kit, "alice", "bob") if number < 25 else await kit.broker.post(
            NewMessage(sender="operator", recipient="bob", body="x")
        )
        async with asyncio.timeout(PATIENCE_S):
            assert len((await parked).messages) == 1


async def test_two_parked_recvs_are_refused(kit: Kit) -> None:
    bob = holder(kit, "bob")
    parked = await parks(kit, bob)
    with pytest.raises(HiveError) as caught:
        await kit.broker.mailbox.recv(bob, WAIT)
    assert caught.value.code is ErrorCode.CONFLICT
    parked.cancel()


async def test_peek_takes_nothing(kit: Kit) -> None:
    await send(kit, "alice", "bob")
    bob = holder(kit, "bob")
    peeked = (await kit.broker.mailbox.recv(bob, RecvParams(peek=True))).messages
    assert len(peeked) == 1
    assert len((await kit.broker.mailbox.recv(bob, NOW)).messages) == 1


async def test_priority_then_age(kit: Kit) -> None:
    await send(kit, "alice", "bob", "low", priority=Priority.LOW)
    await send(kit, "alice", "bob", "first")
    await send(kit, "alice", "bob", "second")
    await send(kit, "alice", "bob", "high", priority=Priority.HIGH)
    taken = (await kit.broker.mailbox.recv(holder(kit, "bob"), NOW)).messages
    assert [m.body for m in taken] == ["high", "first", "second", "low"]


async def test_a_turn_that_ends_well_acknowledges(kit: Kit) -> None:
    await send(kit, "alice", "bob")
    bob = holder(kit, "bob")
    await kit.broker.mailbox.recv(bob, NOW)
    turn = await kit.broker.mailbox.turn_start(bob, "haiku")
    await send(kit, "alice", "bob", "taken inside the turn")
    await kit.broker.mailbox.recv(bob, NOW)
    await end(kit, bob, turn, TurnOutcome.OK)
    kit.disconnect(bob)
    assert (await kit.broker.mailbox.recv(holder(kit, "bob"), NOW)).messages == ()


@pytest.mark.parametrize(
    "outcome", sorted({*TurnOutcome} - {TurnOutcome.OK, TurnOutcome.COMPACTED})
)
async def test_a_turn_that_ends_badly_gives_everything_back(
    kit: Kit, outcome: TurnOutcome
) -> None:
    await send(kit, "alice", "bob", "one")
    bob = holder(kit, "bob")
    await kit.broker.mailbox.recv(bob, NOW)
    turn = await kit.broker.mailbox.turn_start(bob, "haiku")
    await send(kit, "alice", "bob", "two")
    await kit.broker.mailbox.recv(bob, NOW)
    await end(kit, bob, turn, outcome)
    again = (await kit.broker.mailbox.recv(bob, NOW)).messages
    if outcome in (TurnOutcome.FAILED, TurnOutcome.MAX_TURNS):  # each goes alone
        assert len(again) == 1
        again += (await kit.broker.mailbox.recv(bob, NOW)).messages
    assert [(m.body, m.redelivered) for m in again] == [("one", True), ("two", True)]


async def test_a_lost_connection_gives_back_in_and_out_of_a_turn(kit: Kit) -> None:
    await send(kit, "alice", "bob", "in a turn")
    first = holder(kit, "bob")
    await kit.broker.mailbox.recv(first, NOW)
    await kit.broker.mailbox.turn_start(first, "haiku")
    kit.disconnect(first)
    assert kit.registry.get("bob").turn is None
    second = holder(kit, "bob")
    assert (await kit.broker.mailbox.recv(second, NOW)).messages[0].redelivered
    kit.broker.mailbox.disconnected(second)
    third = (await kit.broker.mailbox.recv(holder(kit, "bob"), NOW)).messages
    assert [m.body for m in third] == ["in a turn"]


async def test_a_hung_up_waiter_loses_nothing(kit: Kit) -> None:
    bob = holder(kit, "bob")
    parked, sending = await crossing(kit, bob)
    kit.broker.mailbox.disconnected(bob)
    parked.cancel()
    await sending
    await settled()
    again = (await kit.broker.mailbox.recv(holder(kit, "bob"), NOW)).messages
    assert len(again) == 1


async def test_a_harness_that_asks_again_gets_what_it_never_saw(kit: Kit) -> None:
    await send(kit, "alice", "bob", "crossed")
    anew = RecvParams(max=32, had=())  # as the harness asks
    for asked, seen in ((anew, ["crossed"]), (NOW, [])):
        who = holder(kit, "bob")
        await kit.broker.mailbox.recv(who, asked)  # its answer is lost on the way
        again = (await kit.broker.mailbox.recv(who, asked)).messages
        assert [(m.body, m.redelivered) for m in again] == [(one, True) for one in seen]
        kit.broker.mailbox.disconnected(who)


async def test_what_a_client_had_is_done_and_the_rest_comes_again(kit: Kit) -> None:
    first = await send(kit, "alice", "bob", "seen")
    bob = holder(kit, "bob")
    await kit.broker.mailbox.recv(bob, NOW)
    second = await send(kit, "alice", "bob", "crossed")
    await kit.broker.mailbox.recv(bob, NOW)  # its answer is lost on the way
    for had in ((first,), ()):
        (again,) = (
            await kit.broker.mailbox.recv(bob, RecvParams(max=32, had=had))
        ).messages
        assert (again.id, again.redelivered) == (second, True)
    done = RecvParams(max=32, had=(second,))
    assert (await kit.broker.mailbox.recv(bob, done)).messages == ()
    for number in (first, second):
        assert not await kit.store.read(partial(messages.waits, number=number))


async def test_what_a_turn_has_is_not_ended_by_a_recv(kit: Kit) -> None:
    number = await send(kit, "alice", "bob")
    bob = holder(kit, "bob")
    await kit.broker.mailbox.recv(bob, NOW)
    turn = await kit.broker.mailbox.turn_start(bob, "haiku")
    await kit.broker.mailbox.recv(bob, RecvParams(max=32, had=(number,)))
    await end(kit, bob, turn, TurnOutcome.CANCELLED)
    (again,) = (await kit.broker.mailbox.recv(bob, NOW)).messages
    assert again.id == number


async def test_giving_up_a_wait_leaves_the_turn_its_mail(kit: Kit) -> None:
    bob = holder(kit, "bob")
    await send(kit, "alice", "bob", "first")
    await kit.broker.mailbox.recv(bob, NOW)
    turn = await kit.broker.mailbox.turn_start(bob, "haiku")
    parked, sending = await crossing(kit, bob, "second")
    parked.cancel()
    await sending
    await settled()
    assert (await kit.broker.mailbox.recv(bob, NOW)).messages == ()
    await end(kit, bob, turn, TurnOutcome.CANCELLED)
    again = (await kit.broker.mailbox.recv(bob, NOW)).messages
    assert [m.body for m in again] == ["first", "second"]


async def test_the_end_of_another_turn_is_refused(kit: Kit) -> None:
    bob = holder(kit, "bob")
    turn = await kit.broker.mailbox.turn_start(bob, "haiku")
    with pytest.raises(HiveError) as caught:
        await end(kit, holder(kit, "alice"), turn, TurnOutcome.OK)
    assert caught.value.code is ErrorCode.CONFLICT


async def test_limits_and_cancels_do_not_count_against_mail(tmp_path: Path) -> None:
    kit = await open_kit(tmp_path, MessageLimits(deliveries_max=2))
    await kit.agent("bob")
    await kit.broker.post(NewMessage(sender="operator", recipient="bob", body="wait"))
    bob = holder(kit, "bob")
    for outcome in (TurnOutcome.RATE_LIMITED, TurnOutcome.CANCELLED, TurnOutcome.AUTH):
        assert len((await kit.broker.mailbox.recv(bob, NOW)).messages) == 1
        await end(kit, bob, await kit.broker.mailbox.turn_start(bob, "haiku"), outcome)
    assert len((await kit.broker.mailbox.recv(bob, NOW)).messages) == 1
    await kit.store.close()


async def test_a_message_that_never_finishes_goes_to_the_operator(
    tmp_path: Path,
) -> None:
    kit = await open_kit(tmp_path, MessageLimits(deliveries_max=2))
    await kit.agent("bob")
    await kit.broker.post(NewMessage(sender="operator", recipient="bob", body="poison"))
    for _ in range(2):
        bob = holder(kit, "bob")
        assert len((await kit.broker.mailbox.recv(bob, NOW)).messages) == 1
        kit.broker.mailbox.disconnected(bob)
    assert (await kit.broker.mailbox.recv(holder(kit, "bob"), NOW)).messages == ()
    letters = await kit.store.read(
        lambda reader: inboxes.inbox(
            reader, "operator", InboxParams(show=InboxFilter.UNREAD, limit=9)
        )
    )
    assert [entry.kind for entry in letters.messages] == [MessageKind.EVENT]
    assert "poison" in letters.messages[0].body
    await kit.store.close()


async def test_mail_outside_a_turn_is_acknowledged_by_its_holder_alone(
    kit: Kit,
) -> None:
    numbers = [await send(kit, "alice", "bob", str(n)) for n in range(3)]
    bob, other = holder(kit, "bob"), holder(kit, "bob")
    await kit.broker.mailbox.recv(bob, NOW)
    assert await acked(kit.broker.mailbox, other) == 0
    assert await acked(kit.broker.mailbox, bob, (numbers[0], 99)) == 1
    turn = await kit.broker.mailbox.turn_start(bob, "haiku")
    assert await acked(kit.broker.mailbox, bob) == 0  # a turn's mail is the turn's
    await end(kit, bob, turn, TurnOutcome.CANCELLED)
    again = (await kit.broker.mailbox.recv(bob, NOW)).messages
    assert [m.body for m in again] == ["1", "2"]
    assert await acked(kit.broker.mailbox, bob) == 2
    kit.broker.mailbox.disconnected(bob)
    assert (await kit.broker.mailbox.recv(holder(kit, "bob"), NOW)).messages == ()


async def test_two_empty_waits_tell_to_end_the_turn(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyglue.host.messages.mailbox._LONG_WAIT_S", 0.001)
    bob = holder(kit, "bob")
    await kit.broker.mailbox.turn_start(bob, "haiku")
    hints = [
        (await kit.broker.mailbox.recv(bob, RecvParams(wait_seconds=0.01))).hint
        for _ in range(2)
    ]
    assert hints[0] is None
    assert hints[1] is not None
    assert "Finish your turn" in hints[1]


async def test_nothing_is_lost_when_the_store_opens_again(tmp_path: Path) -> None:
    kit = await open_kit(tmp_path)
    await kit.agent("bob")
    await kit.broker.post(NewMessage(sender="operator", recipient="bob", body="x"))
    await kit.broker.mailbox.recv(holder(kit, "bob"), NOW)
    await kit.store.close()
    kit = await open_kit(tmp_path)
    assert await kit.store.write(leases.release_all) == 1
    bob = kit.registry.get("bob")
    taken = (await kit.broker.mailbox.recv(Receiver(agent=bob), NOW)).messages
    assert [m.redelivered for m in taken] == [True]
    await kit.store.close()


async def test_the_beginning_of_a_turn_names_what_woke_the_agent(kit: Kit) -> None:
    sent = [await send(kit, who, "bob") for who in ("alice", "manager", "alice")]
    bob = holder(kit, "bob")
    await kit.broker.mailbox.recv(bob, NOW)
    await send(kit, "alice", "bob", "too late for it")
    turn = await kit.broker.mailbox.turn_start(bob, "haiku")
    (began,) = [event for event in kit.events if event.kind == "turn.started"]
    read = began.read()
    assert read == TurnStarted(
        turn=turn,
        model="haiku",
        messages=tuple(sent),
        senders=("alice", "manager"),
    )
    await end(kit, bob, turn, TurnOutcome.OK)
    await kit.broker.mailbox.turn_start(bob, "haiku")  # as for a schedule
    last = [event for event in kit.events if event.kind == "turn.started"][-1].read()
    assert isinstance(last, TurnStarted)
    assert (last.messages, last.senders) == ((), ())


async def test_every_change_is_an_event_in_order(kit: Kit) -> None:
    await send(kit, "alice", "bob")
    bob = holder(kit, "bob")
    await kit.broker.mailbox.recv(bob, NOW)
    turn = await kit.broker.mailbox.turn_start(bob, "haiku")
    await end(kit, bob, turn, TurnOutcome.OK)
    kinds = [event.kind for event in kit.events]
    assert kinds[-3:] == ["message.sent", "turn.started", "turn.ended"]
    numbers = [event.seq for event in kit.events]
    assert numbers == list(range(1, len(numbers) + 1))
