"""The provider's credit: one question across restarts, withdrawn after a good turn."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from checks.kits.host.store import Kit, open_kit, put
from pyglue.api.agent import ControlParams
from pyglue.api.common import DEFAULT_ACCOUNT, AgentState
from pyglue.api.questions import AnswerParams, DismissParams, QuestionEnd, QuestionView
from pyglue.config import RelayConfig
from pyglue.host.control.credit import CREDIT, TRY, Credit
from pyglue.names import OPERATOR
from pyglue.store import questions

NAMES = ("alice", "bob")
SAID = "Credit balance is too low\x1b[2J"


class Heard:
    """The harness's end of a connection, as far as it is needed here."""

    def __init__(self) -> None:
        self.again = 0

    def notify(self, _note: object, params: ControlParams) -> None:
        self.again += params.again


class Room:
    """Two agents in want of credit, and a clock that tests move."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.now = 1000.0
        self.heard = {name: Heard() for name in NAMES}
        self.credit = self.new()

    def new(self) -> Credit:
        """Return what a new hived would have; the old one hears nothing more."""
        self.kit.questions._listeners.clear()
        return Credit(
            transitions=self.kit.transitions,
            registry=self.kit.registry,
            questions=self.kit.questions,
            controls=self.kit.controls,
            audit=self.kit.controls.audit,
            config=RelayConfig(),
            clock=lambda: self.now,
        )

    async def run_out(self, name: str) -> None:
        agent = self.kit.registry.get(name)
        put(agent, turn=None)
        await self.credit.used_up(agent, SAID)

    async def asked(self) -> list[QuestionView]:
        return list(await self.kit.store.read(questions.recent))

    def tried(self) -> list[int]:
        return [one.again for one in self.heard.values()]


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    kit = await open_kit(tmp_path)
    made = Room(kit)
    for name in NAMES:
        agent = await kit.agent(name)
        harness: Any = made.heard[name]
        put(agent, harness=harness, state=AgentState.NO_CREDIT)
    yield made
    await kit.store.close()


async def test_the_operator_is_asked_once_for_all(room: Room) -> None:
    for name in NAMES * 2:
        await room.run_out(name)
    (question,) = await room.asked()
    assert question.asker == "system"
    assert question.to == OPERATOR
    assert (
        "alice reports that the provider's credit is used up. Its words: “Credit"
        in (question.question)
    )
    assert "\x1b" not in question.question
    await room.kit.transitions.load()  # a restart later
    room.credit = room.new()
    await room.run_out("bob")
    assert len(await room.asked()) == 1


async def test_they_try_again_when_the_operator_says_so(room: Room) -> None:
    await room.run_out("alice")
    (question,) = await room.asked()
    answer = AnswerParams(question=question.id, choices=(TRY,))
    await room.kit.questions.answer(OPERATOR, answer)
    assert room.tried() == [1, 1]
    assert room.kit.registry.hive.question is None
    await room.run_out("bob")  # it was not so: no second question at once
    assert len(await room.asked()) == 1
    room.now += 601
    await room.run_out("bob")
    assert len(await room.asked()) == 2


@pytest.mark.parametrize("dismissed", [False, True])
async def test_an_operator_who_leaves_it_is_not_asked_again(
    room: Room, dismissed: bool
) -> None:
    await room.run_out("alice")
    (question,) = await room.asked()
    if dismissed:
        await room.kit.questions.dismiss(DismissParams(question=question.id), "ann")
    else:
        answer = AnswerParams(question=question.id, choices=question.options[1:])
        await room.kit.questions.answer(OPERATOR, answer)
    room.now += 10_000
    await room.run_out("bob")
    assert len(await room.asked()) == 1
    assert room.tried() == [0, 0]


async def test_a_turn_that_ends_well_ends_it(room: Room) -> None:
    bob = room.kit.registry.get("bob")
    put(bob, turn=7)  # it may have had its last answer before
    await room.run_out("alice")
    await room.credit.works(7, DEFAULT_ACCOUNT)
    assert room.kit.registry.hive.asked_for == CREDIT
    put(bob, state=AgentState.THINKING)
    await room.credit.works(8, DEFAULT_ACCOUNT)
    (question,) = await room.asked()
    assert question.ended is QuestionEnd.CANCELLED
    assert room.tried() == [1, 0]  # bob does not wait for it
    assert room.kit.registry.hive.asked_for is None
    await room.credit.works(9, DEFAULT_ACCOUNT)
    assert room.tried() == [1, 0]


async def test_other_answers_are_not_its_own(room: Room) -> None:
    await room.run_out("alice")
    number = await room.kit.questions.ask_operator("x?", (TRY,), expires_at=None)
    answer = AnswerParams(question=number, choices=(TRY,))
    await room.kit.questions.answer(OPERATOR, answer)
    assert room.tried() == [0, 0]
    assert room.kit.registry.hive.asked_for == CREDIT


async def test_a_pause_of_the_hive_keeps_it(room: Room) -> None:
    await room.run_out("alice")
    await room.kit.controls.pause_all("fire", OPERATOR)
    await room.kit.controls.resume_all(OPERATOR)
    assert room.kit.registry.hive.asked_for == CREDIT
