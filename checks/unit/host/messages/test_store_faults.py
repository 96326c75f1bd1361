"""A fault at every statement of everything that moves messages and questions."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from checks.kits.host.fault_scenes import KINDS, Scenario, Scene, all_fail, scene_in
from checks.kits.host.messages import NOW, acked, parks, send
from pyglue.api.questions import AnswerParams, AskParams, CancelQuestionParams
from pyglue.names import OPERATOR
from pyglue.store import questions


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene_in(tmp_path) as made:
        yield made


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
    asking_the_operator,
    asking_a_peer,
    answering,
    cancelling_a_question,
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda it: it.__name__)
async def test_a_fault_at_every_statement(
    scene: Scene, scenario: Scenario, kind: str
) -> None:
    assert await all_fail(scene, scenario, kind) == 0
