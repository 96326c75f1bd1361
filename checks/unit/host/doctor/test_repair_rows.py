"""Rows that contradict hived's memory: each kind is found, repaired, and then gone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import ClassVar, Final

import pytest

from checks.kits.host.harness import Harness
from checks.kits.host.messages import NOW, parks
from checks.kits.host.store import Kit, open_kit, row_repair
from checks.kits.patience import PATIENCE_S
from pyglue.api.operations import Operation, OperationKind
from pyglue.host.core.agent import Receiver
from pyglue.host.core.operations import Operations
from pyglue.names import OPERATOR
from pyglue.store import agents, control, messages, operations, questions, reminders
from pyglue.store.database import Tx
from pyglue.store.messages import NewMessage


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    opened = await open_kit(tmp_path)
    for name in ("alice", "bob"):
        await opened.agent(name)
    yield opened
    await opened.store.close()


def held(tx: Tx, *, holder: str | None = None, turn: int | None = None) -> int:
    new = NewMessage(sender=OPERATOR, recipient="bob", body="hello")
    number = messages.insert(tx, new).id
    tx.execute(
        "UPDATE message SET state = 'held', holder = ?, turn = ? WHERE id = ?",
        *(holder, turn, number),
    )
    return number


def ended_turn(tx: Tx, agent: str = "bob") -> int:
    turn = agents.start_turn(tx, agent, "haiku")
    agents.lose_turns(tx, agent)
    return turn


def question(tx: Tx, asker: str, to: str) -> None:
    questions.insert(
        tx,
        asker=asker,
        to=to,
        question="Well?",
        options=(),
        multi=False,
        expires_at=None,
    )


def message_to_nobody(tx: Tx) -> None:
    for _ in range(2):
        new = NewMessage(sender=OPERATOR, recipient="gone", body="hello")
        messages.insert(tx, new)


def reminder_of_nobody(tx: Tx) -> None:
    reminders.insert(tx, agent="gone", text="x", due_at=1e12, repeat_s=None, hop=0)


ORPHANS: Final[dict[str, tuple[Callable[[Tx], object], str, str]]] = {
    "held-by-a-dead-connection": (
        lambda tx: held(tx, holder="dead"),
        "1 of its messages are leased to a connection that is gone.",
        "waiting",
    ),
    "held-by-nobody": (
        held,
        "1 of its messages are leased to a connection that is gone.",
        "waiting",
    ),
    "held-by-an-ended-turn": (
        lambda tx: held(tx, holder="dead", turn=ended_turn(tx)),
        "1 of its messages are leased to a turn that has ended.",
        "waiting",
    ),
    "held-by-a-turn-that-never-was": (
        lambda tx: held(tx, turn=999),
        "1 of its messages are leased to a turn that has ended.",
        "waiting",
    ),
    "held-by-another-agents-turn": (
        lambda tx: held(tx, turn=ended_turn(tx, "alice")),
        "1 of its messages are leased to a turn that has ended.",
        "waiting",
    ),
    "to-nobody": (
        message_to_nobody,
        "2 messages are queued for it, but there is no such agent.",
        "dead",
    ),
    "question-of-nobody": (
        lambda tx: question(tx, "gone", OPERATOR),
        "1 of its open questions concern an agent that does not exist.",
        "",
    ),
    "question-to-nobody": (
        lambda tx: question(tx, "bob", "gone"),
        "1 of its open questions concern an agent that does not exist.",
        "",
    ),
    "reminder-of-nobody": (
        reminder_of_nobody,
        "1 reminders are pending for it, but there is no such agent.",
        "",
    ),
    "open-turn": (
        lambda tx: agents.start_turn(tx, "bob", "haiku"),
        "1 of its turns are open, but not running.",
        "",
    ),
}


async def found(kit: Kit) -> list[str]:
    return [one.says for one in await row_repair(kit).look()]


async def repair(kit: Kit) -> None:
    for one in await row_repair(kit).look():
        assert one.would
        assert one.repair is not None
        await one.repair()
    await kit.store.write(lambda _: None)
    assert await found(kit) == []


@pytest.mark.parametrize("kind", ORPHANS)
async def test_what_nobody_will_close_is_found_and_closed(kit: Kit, kind: str) -> None:
    make, says, state = ORPHANS[kind]
    assert await found(kit) == []
    await kit.store.write(make)
    assert await found(kit) == [says]
    await repair(kit)
    states = await kit.store.read(
        lambda reader: {
            row[0] for row in reader.execute("SELECT DISTINCT state FROM message")
        }
    )
    assert states == ({state} if state else set())


async def test_an_open_turn_and_what_it_holds_are_one_repair(kit: Kit) -> None:
    await kit.store.write(
        lambda tx: held(tx, turn=agents.start_turn(tx, "bob", "haiku"))
    )
    assert len(await found(kit)) == 2
    await repair(kit)
    bob = Harness(kit, kit.registry.get("bob"))
    (message,) = await bob.recv()
    assert message.body == "hello"


async def test_what_waits_gets_what_is_queued_again(kit: Kit) -> None:
    bob = Harness(kit, kit.registry.get("bob"))
    waiting = await parks(kit, bob.holder)
    await kit.store.write(lambda tx: held(tx, holder="dead"))
    await repair(kit)
    assert (await waiting).messages == ()  # it asks again
    assert len(await bob.recv()) == 1


async def test_what_is_held_by_who_is_there_is_left_alone(kit: Kit) -> None:
    bob, alice = kit.registry.get("bob"), kit.registry.get("alice")
    here = Receiver(agent=alice)
    for name in ("alice", "bob"):
        new = NewMessage(sender=OPERATOR, recipient=name, body="hello")
        await kit.broker.post(new)
    assert len((await kit.broker.mailbox.recv(here, NOW)).messages) == 1
    harness = Harness(kit, bob)
    turn = await harness.begin(await harness.recv())
    assert await found(kit) == []
    await harness.end(turn)
    kit.broker.mailbox.disconnected(here)
    assert await found(kit) == []


async def test_what_is_on_its_way_is_no_finding(kit: Kit) -> None:
    """The store knows of a turn a moment before memory does."""
    bob = Harness(kit, kit.registry.get("bob"))
    for _ in range(20):
        looking = asyncio.create_task(found(kit))
        turn = await bob.begin(())
        assert await looking == []
        looking = asyncio.create_task(found(kit))
        await bob.end(turn)
        assert await looking == []


async def test_a_turn_that_only_memory_has_ends_with_its_connection(kit: Kit) -> None:
    bob = Harness(kit, kit.registry.get("bob"))
    await bob.begin(())
    await kit.store.write(lambda tx: agents.lose_turns(tx, "bob"))
    assert await found(kit) == ["A turn of bob is running, but has ended in the store."]
    await repair(kit)
    assert bob.holder.gone
    assert bob.agent.turn is None


DIFFERENCES: Final[dict[str, Callable[[Tx], object]]] = {
    "wanted": lambda tx: agents.set_wanted(tx, "bob", False),
    "problem": lambda tx: agents.set_problem(tx, "bob", "It crashed."),
    "control": lambda tx: control.put(
        tx, control.Control(agent="bob", paused_at=1.0, paused_by="ann")
    ),
}


@pytest.mark.parametrize("what", DIFFERENCES)
async def test_the_store_is_given_what_hived_works_with(kit: Kit, what: str) -> None:
    assert await found(kit) == []
    await kit.store.write(DIFFERENCES[what])
    assert await found(kit) == ["The stored state of bob differs from the one in use."]
    await repair(kit)
    bob = kit.registry.get("bob")
    row = await kit.store.read(lambda reader: agents.find(reader, "bob"))
    assert row is not None
    assert (row.wanted, row.problem) == (True, None)
    controls = await kit.store.read(control.all_rows)
    assert controls.get("bob", bob.control) == bob.control


class Restarts:
    """A handler of operations that ends at once."""

    steps: ClassVar[tuple[str, ...]] = ("run",)

    async def run(self, operation: Operation, step: str) -> str | None:
        return None

    def recover(self, step: str) -> str | None:
        return None


async def test_an_operation_that_nobody_works_on_continues(kit: Kit) -> None:
    work = Operations(store=kit.store, audit=kit.audit)
    await work.start(dict.fromkeys(OperationKind, Restarts()))
    operation = await kit.store.write(
        lambda tx: operations.insert(
            tx, kind=OperationKind.RESTART, agent="bob", requested_by=OPERATOR
        )
    )
    (one,) = await row_repair(kit, work).look()
    says = f"Operation {operation.id} (restart of bob) is open, but no handler is "
    says += "working on it."
    assert (one.agent, one.says, one.would) == ("bob", says, "continue it")
    assert one.repair is not None
    await one.repair()
    ended = await work.get(operation.id, PATIENCE_S)
    assert (ended.state.value, ended.error) == ("done", None)
    assert await row_repair(kit, work).look() == []
    await work.close()
