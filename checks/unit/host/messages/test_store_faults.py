"""A fault at every statement of everything that moves messages and turns.

Each scenario is done over and over: once with a fault at its first statement, once at
its second, and so on until none is left to fail. The fault comes once, or lasts for a
while; then the store is well again. Afterwards every message is waiting, held by a
turn that runs, done or dead; memory, store and events say the same; and whatever was
acknowledged is delivered, whatever was refused is not.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from checks.kits.host.agreement import Witness
from checks.kits.host.harness import Harness
from checks.kits.host.messages import NOW, acked, parks, send
from checks.kits.host.store import Kit, open_kit
from checks.kits.store.faults import FOR_A_WHILE, ONCE, SAID, Fault, Faults
from pyglue.api.control import PauseParams
from pyglue.api.questions import AnswerParams, AskParams, CancelQuestionParams
from pyglue.api.queue import QueueChangeParams
from pyglue.api.turns import TurnOutcome
from pyglue.host.core.agent import Holder
from pyglue.host.messages.queue import Queue
from pyglue.names import OPERATOR
from pyglue.store import inboxes, questions
from pyglue.store.failures import StoreError
from pyglue.store.messages import NewMessage


@dataclass
class Scene:
    """Two agents with harnesses and one without, and the store that fails."""

    kit: Kit
    faults: Faults
    witness: Witness
    alice: Harness
    bob: Harness
    carol: Holder

    async def post(self, text: str, to: str = "bob") -> int:
        new = NewMessage(sender=OPERATOR, recipient=to, body=text)
        return (await self.kit.broker.post(new)).id

    async def in_a_turn(self, text: str) -> int:
        """Let bob run a turn over a message."""
        await self.post(text)
        return await self.bob.begin(await self.bob.recv())

    @property
    def holding(self) -> frozenset[str]:
        live = (self.alice.holder, self.bob.holder, self.carol)
        return frozenset(holder.token for holder in live if not holder.gone)

    def carol_connects(self) -> None:
        self.carol = Holder(agent=self.kit.registry.get("carol"))


Scenario = Callable[[Scene, str], AsyncGenerator[None, None]]
"""What comes before, the act, and what is seen afterwards, each up to its ``yield``."""


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    faults = Faults()
    kit = await open_kit(tmp_path, faults=faults)
    alice, bob = [Harness(kit, await kit.agent(name)) for name in ("alice", "bob")]
    carol = Holder(agent=await kit.agent("carol"))
    yield Scene(kit, faults, Witness(kit), alice, bob, carol)
    faults.heal()
    await kit.store.close()


# --- messages -------------------------------------------------------------------------


async def sending(scene: Scene, text: str) -> AsyncGenerator[None, None]:
    yield
    with scene.faults.may_be_refused():
        await send(scene.kit, "alice", "bob", text)
    yield
    assert await scene.bob.finish_all() == ([] if scene.faults.refused else [text])


async def sending_to_one_that_waits(
    scene: Scene, text: str
) -> AsyncGenerator[None, None]:
    waiting = await parks(scene.kit, scene.bob.holder)
    yield
    with scene.faults.may_be_refused():
        await send(scene.kit, "alice", "bob", text)
    yield
    taken = (await waiting).messages
    assert [one.body for one in taken] == ([] if scene.faults.refused else [text])
    if taken:
        await scene.bob.end(await scene.bob.begin(taken))
    assert await scene.bob.finish_all() == []


async def sending_to_one_that_gives_up(
    scene: Scene, text: str
) -> AsyncGenerator[None, None]:
    waiting = await parks(scene.kit, scene.bob.holder)
    yield
    with scene.faults.may_be_refused():
        sent = asyncio.create_task(send(scene.kit, "alice", "bob", text))
        while scene.bob.agent.parked is not None:
            await asyncio.sleep(0)
        waiting.cancel()
        await sent
    yield
    assert await scene.bob.finish_all() == ([] if scene.faults.refused else [text])


async def a_sender_that_gives_up(scene: Scene, text: str) -> AsyncGenerator[None, None]:
    waiting = await parks(scene.kit, scene.bob.holder)
    yield
    sent = asyncio.create_task(send(scene.kit, "alice", "bob", text))
    while scene.bob.agent.parked is not None:
        await asyncio.sleep(0)
    sent.cancel()
    taken = (await waiting).messages
    yield
    if taken:
        await scene.bob.end(await scene.bob.begin(taken))
    left = await scene.bob.finish_all()
    assert [*(one.body for one in taken), *left] in ([], [text])


async def receiving(scene: Scene, text: str) -> AsyncGenerator[None, None]:
    await scene.post(text)
    yield
    with scene.faults.may_be_refused():
        await scene.bob.recv()
    yield
    assert await scene.bob.finish_all() == [text]


async def receiving_in_a_turn(scene: Scene, text: str) -> AsyncGenerator[None, None]:
    turn = await scene.bob.begin(())
    await scene.post(text)
    yield
    with scene.faults.may_be_refused():
        await scene.kit.broker.mailbox.recv(scene.bob.holder, NOW)
    yield
    await scene.bob.end(turn)
    assert await scene.bob.finish_all() == ([text] if scene.faults.refused else [])


async def acknowledging(scene: Scene, text: str) -> AsyncGenerator[None, None]:
    mailbox = scene.kit.broker.mailbox
    await scene.post(text, "carol")
    await mailbox.recv(scene.carol, NOW)
    yield
    with scene.faults.may_be_refused():
        assert await acked(mailbox, scene.carol) == 1
    yield
    assert await acked(mailbox, scene.carol) == scene.faults.refused


async def losing_a_connection_that_holds(
    scene: Scene, text: str
) -> AsyncGenerator[None, None]:
    mailbox = scene.kit.broker.mailbox
    await scene.post(text, "carol")
    await mailbox.recv(scene.carol, NOW)
    yield
    mailbox.disconnected(scene.carol)
    yield
    scene.carol_connects()
    (again,) = (await mailbox.recv(scene.carol, NOW)).messages
    assert (again.body, again.redelivered) == (text, True)
    await acked(mailbox, scene.carol)


async def giving_up_a_recv(scene: Scene, text: str) -> AsyncGenerator[None, None]:
    await scene.post(text, "carol")
    mailbox = scene.kit.broker.mailbox
    yield
    receiving = asyncio.create_task(mailbox.recv(scene.carol, NOW))
    await asyncio.sleep(0)
    receiving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await receiving
    yield
    (again,) = (await mailbox.recv(scene.carol, NOW)).messages
    assert again.body == text
    await acked(mailbox, scene.carol)


# --- turns ----------------------------------------------------------------------------


async def beginning(scene: Scene, text: str) -> AsyncGenerator[None, None]:
    await scene.post(text)
    taken = await scene.bob.recv()
    yield
    with scene.faults.may_be_refused():
        turn = await scene.bob.begin(taken)
    yield
    if not scene.faults.refused:
        await scene.bob.end(turn)
    assert await scene.bob.finish_all() == ([text] if scene.faults.refused else [])


def ending(outcome: TurnOutcome, *, again: bool) -> Scenario:
    async def scenario(scene: Scene, text: str) -> AsyncGenerator[None, None]:
        turn = await scene.in_a_turn(text)
        yield
        await scene.bob.end(turn, outcome)
        yield
        assert await scene.bob.finish_all() == ([text] if again else [])

    scenario.__name__ = f"ending_{outcome.value}"
    return scenario


async def ending_by_its_connection(
    scene: Scene, text: str
) -> AsyncGenerator[None, None]:
    await scene.in_a_turn(text)
    yield
    scene.bob.close()
    yield
    assert await scene.bob.finish_all() == [text]


async def another_harness(scene: Scene, text: str) -> AsyncGenerator[None, None]:
    await scene.in_a_turn(text)
    yield
    old = scene.bob.holder
    scene.bob.connect()
    scene.kit.broker.mailbox.disconnected(old)
    yield
    assert await scene.bob.finish_all() == [text]


async def beginning_as_the_harness_goes(
    scene: Scene, text: str
) -> AsyncGenerator[None, None]:
    await scene.post(text)
    taken = await scene.bob.recv()
    yield
    with scene.faults.may_be_refused():
        beginning = asyncio.create_task(scene.bob.begin(taken))
        await asyncio.sleep(0)
        scene.bob.close()
        await beginning
    yield
    assert await scene.bob.finish_all() == [text]


async def cancelling(scene: Scene, text: str) -> AsyncGenerator[None, None]:
    await scene.in_a_turn(text)
    yield
    await scene.kit.controls.cancel("bob", "no", OPERATOR)
    yield
    assert await scene.bob.finish_all() == [text]


async def dropping_what_a_turn_holds(
    scene: Scene, text: str
) -> AsyncGenerator[None, None]:
    kit = scene.kit
    queue = Queue(
        store=kit.store,
        registry=kit.registry,
        transitions=kit.transitions,
        broker=kit.broker,
        audit=kit.audit,
    )
    await scene.in_a_turn(text)
    (number,) = await kit.store.read(
        lambda reader: [
            row[0]
            for row in reader.execute("SELECT id FROM message WHERE state = 'held'")
        ]
    )
    params = QueueChangeParams(agent="bob", message=number, cancel_turn=True)
    yield
    with scene.faults.may_be_refused():
        await queue.drop(params, OPERATOR)
    yield
    assert await scene.bob.finish_all() == []


# --- questions ------------------------------------------------------------------------


async def asking_the_operator(scene: Scene, text: str) -> AsyncGenerator[None, None]:
    kit = scene.kit
    yield
    with scene.faults.may_be_refused():
        params = AskParams(to=OPERATOR, question=text)
        asked = await kit.questions.ask(scene.alice.agent, params)
    yield
    found = await kit.store.read(lambda reader: questions.open_of(reader, "alice"))
    assert found == (not scene.faults.refused)
    if not scene.faults.refused:
        await kit.questions.answer(
            OPERATOR, AnswerParams(question=asked.question, text="yes")
        )
    assert len(await scene.alice.finish_all()) == found


async def asking_a_peer(scene: Scene, text: str) -> AsyncGenerator[None, None]:
    kit = scene.kit
    yield
    with scene.faults.may_be_refused():
        params = AskParams(to="bob", question=text)
        asked = await kit.questions.ask(scene.alice.agent, params)
    yield
    found = await kit.store.read(lambda reader: questions.open_of(reader, "alice"))
    assert found == (not scene.faults.refused)
    assert len(await scene.bob.finish_all()) == found
    if not scene.faults.refused:
        await kit.questions.answer(
            "bob", AnswerParams(question=asked.question, text="yes")
        )
        assert len(await scene.alice.finish_all()) == 1


async def answering(scene: Scene, text: str) -> AsyncGenerator[None, None]:
    kit = scene.kit
    params = AskParams(to="bob", question=text)
    asked = await kit.questions.ask(scene.alice.agent, params)
    await scene.bob.finish_all()
    answer = AnswerParams(question=asked.question, text="yes")
    yield
    with scene.faults.may_be_refused():
        await kit.questions.answer("bob", answer)
    yield
    if scene.faults.refused:
        assert await scene.alice.finish_all() == []
        await kit.questions.answer("bob", answer)
    assert len(await scene.alice.finish_all()) == 1


async def cancelling_a_question(scene: Scene, text: str) -> AsyncGenerator[None, None]:
    kit, alice = scene.kit, scene.alice.agent
    params = AskParams(to="bob", question=text)
    asked = await kit.questions.ask(alice, params)
    await scene.bob.finish_all()
    cancel = CancelQuestionParams(question=asked.question)
    yield
    with scene.faults.may_be_refused():
        await kit.questions.cancel(alice, cancel)
    yield
    told = await scene.bob.finish_all()
    if scene.faults.refused:
        assert told == []
        await kit.questions.cancel(alice, cancel)
        told = await scene.bob.finish_all()
    assert len(told) == 1


# --- what holds in memory at once -----------------------------------------------------


async def pausing(scene: Scene, text: str) -> AsyncGenerator[None, None]:
    controls = scene.kit.controls
    await scene.post(text)
    yield
    try:
        await controls.pause(PauseParams(agent="bob", reason=text), OPERATOR)
    except Exception as error:
        assert "This is in effect" in str(error)
        assert SAID[scene.faults.fault] in str(error)
    assert scene.kit.registry.paused(scene.bob.agent) is not None
    yield
    await controls.resume("bob", OPERATOR)
    assert await scene.bob.finish_all() == [text]


async def crashing(scene: Scene, text: str) -> AsyncGenerator[None, None]:
    await scene.in_a_turn(text)
    yield
    scene.bob.close()
    scene.kit.transitions.crashed(scene.bob.agent, "It was killed.", f"{text} crashed")
    yield
    await scene.kit.transitions.problem_noted(scene.bob.agent, None)
    assert await scene.bob.finish_all() == [text]


async def stopping(scene: Scene, text: str) -> AsyncGenerator[None, None]:
    transitions, bob = scene.kit.transitions, scene.bob.agent
    await scene.in_a_turn(text)
    yield
    await transitions.wanted(bob, False)
    scene.bob.close()
    transitions.stopped(bob)
    yield
    await transitions.wanted(bob, True)
    assert await scene.bob.finish_all() == [text]


SCENARIOS: Final[tuple[Scenario, ...]] = (
    sending,
    sending_to_one_that_waits,
    sending_to_one_that_gives_up,
    a_sender_that_gives_up,
    receiving,
    receiving_in_a_turn,
    acknowledging,
    losing_a_connection_that_holds,
    giving_up_a_recv,
    beginning,
    ending(TurnOutcome.OK, again=False),
    ending(TurnOutcome.FAILED, again=True),
    ending(TurnOutcome.CANCELLED, again=True),
    ending_by_its_connection,
    another_harness,
    beginning_as_the_harness_goes,
    cancelling,
    dropping_what_a_turn_holds,
    asking_the_operator,
    asking_a_peer,
    answering,
    cancelling_a_question,
    pausing,
    crashing,
    stopping,
)


KINDS: Final = {
    "ends-the-transaction": (Fault.FULL, Fault.IOERR),
    "leaves-it-open": (Fault.READONLY, Fault.CORRUPT),
    "is-a-lock": (Fault.BUSY, Fault.LOCKED),
}
"""Faults that the store handles alike; they take turns over the statements."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda it: it.__name__)
async def test_a_fault_at_every_statement(
    scene: Scene, scenario: Scenario, kind: str
) -> None:
    for times in (ONCE, FOR_A_WHILE):
        for at in itertools.count():
            fault = KINDS[kind][(at + (times is ONCE)) % 2]
            if not await fails_at(scene, scenario, at, fault, times):
                break
        assert at > 4, "it has at least a transaction with one statement"
    dead = await scene.kit.store.read(
        lambda reader: reader.execute(
            "SELECT count(*) FROM message WHERE state = 'dead'"
        ).fetchone()[0]
    )
    assert dead == 0 or scenario is dropping_what_a_turn_holds


async def fails_at(
    scene: Scene, scenario: Scenario, at: int, fault: Fault, times: int
) -> bool:
    """Let the statement ``at`` of the scenario fail; false if it has no such one."""
    kit = scene.kit
    doing = scenario(scene, f"{at}, {times} times")
    await anext(doing)
    await scene.witness.quiet()
    scene.faults.arm(at, fault, times=times)
    await anext(doing)
    with contextlib.suppress(StoreError):
        await kit.store.write(lambda _: None)
    fired = scene.faults.fired
    scene.faults.heal()
    await scene.witness.quiet()
    await scene.witness.agrees(holding=scene.holding)
    with pytest.raises(StopAsyncIteration):
        await anext(doing)
    await scene.witness.quiet()
    await scene.witness.agrees()
    assert await kit.store.read(inboxes.waiting_counts) == {}
    return fired
