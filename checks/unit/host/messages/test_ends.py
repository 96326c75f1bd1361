"""Ended turns hold no leases: the next recipient gets the message."""

import pytest

from checks.kits.host.harness import NOW
from checks.kits.host.store import Kit, row_repair
from pyglue.host.core.agent import Receiver
from pyglue.names import OPERATOR
from pyglue.store import agents, leases
from pyglue.store.database import Reader, Tx
from pyglue.store.messages import NewMessage


@pytest.fixture
async def bob(kit: Kit) -> Receiver:
    """Bob's harness, which was given a message."""
    holder = Receiver(agent=await kit.agent("bob"), harness=True)
    await kit.broker.post(NewMessage(sender=OPERATOR, recipient="bob", body="hello"))
    assert await given(kit, holder) == ["hello"]
    return holder


@pytest.fixture
async def turn(kit: Kit, bob: Receiver) -> None:
    """Run a turn over that message."""
    await kit.broker.mailbox.turn_start(bob, "haiku")


async def given(kit: Kit, bob: Receiver) -> list[str]:
    got = (await kit.broker.mailbox.recv(bob, NOW)).messages
    return [message.body for message in got]


async def lose(kit: Kit, bob: Receiver) -> None:
    """End the turn in store and memory; the write about its messages is lost."""
    kit.transitions.turn_lost(bob.agent)
    await kit.store.write(lambda _: None)
    assert await held_by_ended(kit) == {"bob": 1}


async def held_by_ended(kit: Kit) -> dict[str, int]:
    def read(reader: Reader) -> dict[str, int]:
        found = reader.execute(
            "SELECT recipient, count(*) FROM message WHERE state = 'held' AND turn IN "
            "(SELECT id FROM turn WHERE ended_at IS NOT NULL) GROUP BY recipient"
        )
        return dict(found.fetchall())

    return await kit.store.read(read)


async def repair(kit: Kit) -> None:
    for one in await row_repair(kit).look():
        assert one.repair is not None
        await one.repair()


async def failures(kit: Kit) -> list[tuple[str, int]]:
    def read(reader: Reader) -> list[tuple[str, int]]:
        found = reader.execute("SELECT reason, counted FROM message_failure")
        return [tuple(row) for row in found.fetchall()]

    return await kit.store.read(read)


@pytest.mark.usefixtures("turn")
async def test_the_harness_gets_what_its_lost_turn_held(
    kit: Kit, bob: Receiver
) -> None:
    await lose(kit, bob)
    assert await given(kit, bob) == ["hello"]
    assert await failures(kit) == [(leases.UNRECORDED, 0)]


async def test_a_turn_that_runs_nowhere_is_lost_when_the_harness_asks(
    kit: Kit, bob: Receiver
) -> None:
    def begin(tx: Tx) -> None:
        turn = agents.start_turn(tx, "bob", "haiku")
        leases.join_turn(tx, "bob", bob.token, turn)

    await kit.store.write(begin)
    assert await given(kit, Receiver(agent=bob.agent)) == []
    assert await given(kit, bob) == ["hello"]


@pytest.mark.usefixtures("turn")
async def test_the_next_turn_releases_what_the_last_one_held(
    kit: Kit, bob: Receiver
) -> None:
    await lose(kit, bob)
    await kit.broker.mailbox.turn_start(bob, "haiku", seen=())
    assert await held_by_ended(kit) == {}


@pytest.mark.usefixtures("turn")
async def test_what_a_running_turn_holds_stays_with_it(kit: Kit, bob: Receiver) -> None:
    await repair(kit)
    other = Receiver(agent=bob.agent)
    assert await given(kit, bob) == await given(kit, other) == []


@pytest.mark.usefixtures("turn")
async def test_repair_queues_it_again(kit: Kit, bob: Receiver) -> None:
    await lose(kit, bob)
    await repair(kit)
    assert await held_by_ended(kit) == {}
    assert await given(kit, Receiver(agent=bob.agent)) == ["hello"]
