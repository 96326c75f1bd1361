"""Reminders, open threads, cancelled questions, and loops of agents that end."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from checks.kits.host.store import Kit, open_kit
from checks.kits.patience import PATIENCE_S
from pyglue.api.agent import CancelReminderParams, RemindParams
from pyglue.api.inbox import InboxFilter, InboxParams
from pyglue.api.messages import MessageKind, RecvParams, SendParams
from pyglue.api.questions import (
    AnswerParams,
    AskParams,
    CancelQuestionParams,
    DismissParams,
)
from pyglue.api.turns import TurnEndParams, TurnOutcome
from pyglue.config import MessageLimits
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.agent import Receiver
from pyglue.host.messages.open_threads import open_threads
from pyglue.host.messages.reminders import Reminders
from pyglue.store import inboxes, reminders
from pyglue.store.messages import NewMessage

WAIT = RecvParams(wait_seconds=120, max=32)
NOW = RecvParams(max=32)


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    opened = await open_kit(tmp_path)
    for name in ("manager", "alice", "bob"):
        await opened.agent(name)
    yield opened
    await opened.store.close()


def clock(kit: Kit) -> Reminders:
    return Reminders(store=kit.store, registry=kit.registry, broker=kit.broker)


async def recv(kit: Kit, name: str, params: RecvParams = WAIT) -> list[Any]:
    got = await kit.broker.mailbox.recv(Receiver(agent=kit.registry.get(name)), params)
    return list(got.messages)


async def make_due(kit: Kit, ago: float = 1.0) -> None:
    at = time.time() - ago
    await kit.store.write(lambda tx: tx.execute("UPDATE reminder SET due_at = ?", at))


async def test_a_reminder_comes_by_itself(kit: Kit) -> None:
    ours = clock(kit)
    watching = asyncio.create_task(ours.watch())
    alice = kit.registry.get("alice")
    params = RemindParams(text="look at the build", in_seconds=1)
    set_ = await ours.remind(alice, params)
    assert set_.due_at > time.time()
    (message,) = await recv(kit, "alice")
    assert (message.sender, message.kind) == ("system", MessageKind.EVENT)
    assert message.body == "Reminder 1 that you set:\nlook at the build"
    watching.cancel()


async def test_reminders_survive_a_restart(tmp_path: Path) -> None:
    kit = await open_kit(tmp_path)
    await kit.agent("alice")
    far = RemindParams(text="later", at="2999-01-01T00:00:00Z")
    with pytest.raises(HiveError, match="at most a year ahead"):
        await clock(kit).remind(kit.registry.get("alice"), far)
    await clock(kit).remind(
        kit.registry.get("alice"), RemindParams(text="later", in_seconds=86400)
    )
    await make_due(kit)
    await kit.store.close()
    kit = await open_kit(tmp_path)
    watching = asyncio.create_task(clock(kit).watch())
    (message,) = await recv(kit, "alice")
    assert message.body.endswith("later")
    watching.cancel()
    await kit.store.close()


async def test_a_repeated_one_comes_once_however_late(kit: Kit) -> None:
    ours = clock(kit)
    alice = kit.registry.get("alice")
    params = RemindParams(text="again", in_seconds=3600, repeat_seconds=60)
    await ours.remind(alice, params)
    await make_due(kit, ago=6000)
    watching = asyncio.create_task(ours.watch())
    await recv(kit, "alice")
    mine = await kit.store.write(lambda tx: reminders.of_agent(tx, "alice"))
    while mine[0].message is None:  # delivered, then moved on
        await kit.store.write(lambda _tx: None)
        mine = await kit.store.write(lambda tx: reminders.of_agent(tx, "alice"))
    assert time.time() < mine[0].due_at <= time.time() + 61
    watching.cancel()
    await make_due(kit)  # the first is still held: nothing more
    again = asyncio.create_task(ours.watch())
    while (await kit.store.write(reminders.next_due) or 0) < time.time():
        await asyncio.sleep(0)
    assert await recv(kit, "alice", NOW) == []
    again.cancel()


async def test_a_cancelled_one_does_not_come(kit: Kit) -> None:
    ours = clock(kit)
    alice, bob = kit.registry.get("alice"), kit.registry.get("bob")
    set_ = await ours.remind(alice, RemindParams(text="x", in_seconds=3600))
    cancel = CancelReminderParams(reminder=set_.reminder)
    with pytest.raises(HiveError, match="You have no reminder 1"):
        await ours.cancel(bob, cancel)
    await ours.cancel(alice, cancel)
    with pytest.raises(HiveError) as caught:
        await ours.cancel(alice, cancel)
    assert caught.value.code is ErrorCode.NOT_FOUND


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({}, "either 'in_seconds' or 'at'"),
        ({"in_seconds": 5, "at": "2026-01-01"}, "either 'in_seconds' or 'at'"),
        ({"at": "tomorrow"}, "Invalid time 'tomorrow'"),
        ({"at": ""}, "Invalid time ''"),
        ({"at": "2001-01-01T00:00:00Z"}, "is in the past: it is now "),
        ({"at": "2001-01-01"}, "is in the past: it is now "),
        ({"at": "9999-12-31T23:59:59Z"}, "at most a year ahead"),
    ],
)
async def test_wrong_times_are_said(kit: Kit, params: Any, says: str) -> None:
    alice = kit.registry.get("alice")
    with pytest.raises(HiveError, match=says):
        await clock(kit).remind(alice, RemindParams(text="x", **params))


async def test_reminders_are_limited(kit: Kit) -> None:
    ours = clock(kit)
    alice = kit.registry.get("alice")
    later = RemindParams(text="x", in_seconds=3600)
    for _ in range(32):
        await ours.remind(alice, later)
    with pytest.raises(HiveError, match="Cancel one with cancel_reminder"):
        await ours.remind(alice, later)
    await ours.remind(kit.registry.get("bob"), later)


async def test_reminders_do_not_carry_a_loop_on(tmp_path: Path) -> None:
    kit = await open_kit(tmp_path, MessageLimits(hops_max=3))
    alice = await kit.agent("alice")
    ours = clock(kit)
    watching = asyncio.create_task(ours.watch())
    await kit.broker.post(NewMessage(sender="operator", recipient="alice", body="go"))
    with pytest.raises(HiveError, match="without a human"):
        for _ in range(9):
            who = Receiver(agent=alice)
            await kit.broker.mailbox.recv(who, WAIT)
            turn = await kit.broker.mailbox.turn_start(who, "haiku")
            await ours.remind(alice, RemindParams(text="again", in_seconds=1))
            await make_due(kit)
            ours._changed.set()
            ended = TurnEndParams(turn=turn, outcome=TurnOutcome.OK)
            await kit.broker.mailbox.turn_end(who, ended)
    watching.cancel()
    await kit.store.close()


async def test_open_threads(kit: Kit) -> None:
    alice, bob = kit.registry.get("alice"), kit.registry.get("bob")
    first = await kit.broker.send(alice, SendParams(to="bob", body="one"))
    second = await kit.broker.send(alice, SendParams(to="bob", body="two " * 999))
    asked = await kit.questions.ask(alice, AskParams(question="Red?", to="bob"))
    await clock(kit).remind(bob, RemindParams(text="later", in_seconds=3600))
    await kit.broker.send(bob, SendParams(to="alice", body="x", reply_to=first.id))
    mine = await open_threads(kit.store, kit.registry.get("bob"))
    assert [m.id for m in mine.to_answer] == [second.id]
    assert len(mine.to_answer[0].begins) == 200
    assert [q.id for q in mine.questions_to_me] == [asked.question]
    assert [r.text for r in mine.reminders] == ["later"]
    theirs = await open_threads(kit.store, kit.registry.get("alice"))
    assert [m.id for m in theirs.unanswered] == [second.id]
    assert [q.to for q in theirs.my_questions] == ["bob"]
    assert [m.sender for m in theirs.to_answer] == ["bob"]
    assert theirs.reminders == ()


async def test_a_question_is_taken_back(kit: Kit) -> None:
    alice, bob = kit.registry.get("alice"), kit.registry.get("bob")
    asked = await kit.questions.ask(alice, AskParams(question="Red?", to="bob"))
    await recv(kit, "bob", NOW)
    cancel = CancelQuestionParams(question=asked.question)
    with pytest.raises(HiveError, match="You asked no question"):
        await kit.questions.cancel(bob, cancel)
    await kit.questions.cancel(alice, cancel)
    (told,) = await recv(kit, "bob", NOW)
    assert "is cancelled" in told.body
    answer = AnswerParams(question=asked.question, text="x")
    for again in (
        kit.questions.answer("bob", answer),
        kit.questions.cancel(alice, cancel),
        kit.questions.dismiss(DismissParams(question=asked.question), "uid 0"),
    ):
        with pytest.raises(HiveError, match="is already cancelled"):
            await again


async def test_the_operator_dismisses_a_question(kit: Kit) -> None:
    alice = kit.registry.get("alice")
    asked = await kit.questions.ask(alice, AskParams(question="Red?"))
    params = DismissParams(question=asked.question, reason="You know that.")
    await kit.questions.dismiss(params, "uid 0")
    (told,) = await recv(kit, "alice", NOW)
    assert told.kind is MessageKind.ANSWER
    assert told.body.endswith("will not be answered. Reason: You know that.")


# --- loops ---------------------------------------------------------------------------


async def letters(kit: Kit) -> list[str]:
    got = await kit.store.read(
        lambda reader: inboxes.inbox(
            reader, "operator", InboxParams(show=InboxFilter.UNREAD, limit=99)
        )
    )
    return [entry.body for entry in got.messages]


@pytest.mark.parametrize("by_question", [False, True])
async def test_a_ring_of_three_agents_dies_out(
    tmp_path: Path, *, by_question: bool
) -> None:
    kit = await open_kit(tmp_path, MessageLimits(hops_max=9))
    ring = {"a": "b", "b": "c", "c": "a"}
    for name in ring:
        await kit.agent(name)
    refused: list[HiveError] = []
    over = asyncio.Event()

    async def live(name: str) -> None:
        agent = kit.registry.get(name)
        who = Receiver(agent=agent)
        while True:
            await kit.broker.mailbox.recv(who, WAIT)
            turn = await kit.broker.mailbox.turn_start(who, "haiku")
            try:
                if by_question:
                    await kit.questions.ask(
                        agent, AskParams(question="And you?", to=ring[name])
                    )
                else:
                    params = SendParams(to=ring[name], body="and you?")
                    await kit.broker.send(agent, params)
            except HiveError as error:
                refused.append(error)
                over.set()
            ended = TurnEndParams(turn=turn, outcome=TurnOutcome.OK)
            await kit.broker.mailbox.turn_end(who, ended)

    agents = [asyncio.create_task(live(name)) for name in ring]
    for _ in range(2):  # two at once; the operator hears of each sender once
        over.clear()
        await kit.broker.post(NewMessage(sender="operator", recipient="a", body="go"))
        async with asyncio.timeout(PATIENCE_S):
            await over.wait()
    for agent in agents:
        agent.cancel()
    assert [error.code for error in refused] == [ErrorCode.RATE_LIMITED] * 2
    assert "without a human" in refused[0].message
    told = await letters(kit)
    assert len(told) == 1
    assert told[0].startswith("A message from a to b was refused")
    await kit.store.close()
