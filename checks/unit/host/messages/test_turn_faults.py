"""A fault at every statement of everything that begins, ends and keeps turns."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from checks.kits.host.fault_scenes import KINDS, Scenario, Scene, all_fail, scene_in
from checks.kits.store.faults import SAID
from pyglue.api.control import PauseParams
from pyglue.api.queue import QueueChangeParams
from pyglue.api.turns import TurnOutcome
from pyglue.host.messages.queue import Queue
from pyglue.names import OPERATOR


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene_in(tmp_path) as made:
        yield made


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
    beginning,
    ending(TurnOutcome.OK, again=False),
    ending(TurnOutcome.FAILED, again=True),
    ending(TurnOutcome.CANCELLED, again=True),
    ending_by_its_connection,
    another_harness,
    beginning_as_the_harness_goes,
    cancelling,
    dropping_what_a_turn_holds,
    pausing,
    crashing,
    stopping,
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda it: it.__name__)
async def test_a_fault_at_every_statement(
    scene: Scene, scenario: Scenario, kind: str
) -> None:
    dead = await all_fail(scene, scenario, kind)
    assert dead == 0 or scenario is dropping_what_a_turn_holds
