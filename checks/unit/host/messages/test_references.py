"""IDs that refer to nothing, or to something not the caller's, are refused."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest

from checks.kits.host.messages import NOW, acked, send
from checks.kits.host.store import Kit, open_kit
from pyglue.api.agent import CancelReminderParams
from pyglue.api.inbox import MessagesParams
from pyglue.api.messages import Mark, MessageKind
from pyglue.api.questions import AnswerParams, CancelQuestionParams, DismissParams
from pyglue.api.queue import QueueChangeParams
from pyglue.api.turns import TurnEndParams, TurnOutcome
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.agent import Receiver
from pyglue.host.messages.queue import Queue
from pyglue.host.messages.reminders import Reminders
from pyglue.names import EVERYONE, OPERATOR
from pyglue.store import approvals, inboxes, marks, operations
from pyglue.store.messages import NewMessage

NOTHING: Final = 999


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    opened = await open_kit(tmp_path)
    for name in ("alice", "bob", "carol"):
        await opened.agent(name)
    yield opened
    await opened.store.close()


async def refused(call: Awaitable[object], word: str) -> HiveError:
    with pytest.raises(HiveError) as caught:
        await call
    assert word in caught.value.message
    return caught.value


def by_operator(kit: Kit, number: int) -> Awaitable[object]:
    new = NewMessage(sender=OPERATOR, recipient="bob", body="x", reply_to=number)
    return kit.broker.post(new)


async def flow(kit: Kit) -> int:
    found = await kit.store.read(
        lambda reader: inboxes.flow(reader, MessagesParams(limit=500))
    )
    return len(found.messages)


@pytest.mark.parametrize("to", ["bob", OPERATOR, EVERYONE])
async def test_a_reply_to_nothing(kit: Kit, to: str) -> None:
    await kit.agent("manager")
    found = await refused(
        send(kit, "manager", to, reply_to=NOTHING),
        f"no message {NOTHING} that you sent",
    )
    assert found.code is ErrorCode.NOT_FOUND
    assert "leave it out" in found.message
    await refused(by_operator(kit, NOTHING), f"no message {NOTHING} that you sent")
    assert await flow(kit) == 0


async def test_a_reply_to_what_is_between_others(kit: Kit) -> None:
    number = await send(kit, "alice", "bob")
    nothing = await refused(
        send(kit, "carol", "alice", reply_to=NOTHING), f"message {NOTHING}"
    )
    other = await refused(
        send(kit, "carol", "alice", reply_to=number), f"message {number}"
    )
    same = nothing.message.replace(str(NOTHING), str(number))
    assert other.message == same  # it does not say that there is one
    for sender, to in (("bob", "alice"), ("alice", "bob"), ("bob", "carol")):
        await send(kit, sender, to, reply_to=number)
    await by_operator(kit, number)
    assert await flow(kit) == 5


async def test_an_acknowledgement_counts_only_what_is_its_own(kit: Kit) -> None:
    bob = Receiver(agent=kit.registry.get("bob"))
    mine = await send(kit, "alice", "bob")
    other = await send(kit, "alice", "carol")
    await kit.broker.mailbox.recv(bob, NOW)
    assert await acked(kit.broker.mailbox, bob, (other, NOTHING)) == 0
    assert await acked(kit.broker.mailbox, bob, (mine,)) == 1
    assert await acked(kit.broker.mailbox, bob, (mine,)) == 0  # again is no error


REFERENCES: Final[dict[str, tuple[Callable[[Kit], Any], str]]] = {
    "answer": (
        lambda kit: kit.questions.answer(
            "bob", AnswerParams(question=NOTHING, text="x")
        ),
        f"no question {NOTHING} for bob",
    ),
    "operator-answer": (
        lambda kit: kit.questions.answer(
            OPERATOR, AnswerParams(question=NOTHING, text="x")
        ),
        f"no question {NOTHING} for operator",
    ),
    "cancel-question": (
        lambda kit: kit.questions.cancel(
            kit.registry.get("bob"), CancelQuestionParams(question=NOTHING)
        ),
        f"no question {NOTHING}",
    ),
    "dismiss": (
        lambda kit: kit.questions.dismiss(DismissParams(question=NOTHING), "ann"),
        f"no question {NOTHING}",
    ),
    "cancel-reminder": (
        lambda kit: Reminders(
            store=kit.store, registry=kit.registry, broker=kit.broker
        ).cancel(kit.registry.get("bob"), CancelReminderParams(reminder=NOTHING)),
        f"no reminder {NOTHING}",
    ),
    "queue": (
        lambda kit: Queue(
            store=kit.store,
            registry=kit.registry,
            transitions=kit.transitions,
            broker=kit.broker,
            audit=kit.audit,
        ).drop(QueueChangeParams(agent="bob", message=NOTHING), "ann"),
        f"Message {NOTHING} is not in the queue of bob",
    ),
    "mark": (
        lambda kit: kit.store.write(
            lambda tx: marks.mark(tx, OPERATOR, Mark.READ, ids=[NOTHING])
        ),
        f"no message {NOTHING}",
    ),
    "turn": (
        lambda kit: kit.broker.mailbox.turn_end(
            Receiver(agent=kit.registry.get("bob")),
            TurnEndParams(turn=NOTHING, outcome=TurnOutcome.OK),
        ),
        f"Turn {NOTHING} is not running",
    ),
    "approval": (
        lambda kit: kit.store.read(lambda reader: approvals.get(reader, NOTHING)),
        f"no approval {NOTHING}",
    ),
    "operation": (
        lambda kit: kit.store.read(lambda reader: operations.get(reader, NOTHING)),
        f"no operation {NOTHING}",
    ),
    "cancel-operation": (
        lambda kit: kit.store.write(lambda tx: operations.cancel(tx, NOTHING, "no")),
        f"no operation {NOTHING}",
    ),
}


@pytest.mark.parametrize("door", REFERENCES)
async def test_an_id_of_nothing_is_named(kit: Kit, door: str) -> None:
    call, words = REFERENCES[door]
    await refused(call(kit), words)


async def test_an_answer_of_the_hive_needs_no_message(kit: Kit) -> None:
    """What asks or answers by a question's id refers to no message."""
    new = NewMessage(
        sender=OPERATOR, recipient="bob", body="x", kind=MessageKind.ANSWER
    )
    assert (await kit.broker.post(new)).reply_to is None
