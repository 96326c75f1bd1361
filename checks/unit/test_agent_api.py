"""Connections of one agent's harness: the newest has the turn, whichever ends when."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from checks.host_kit import Kit, open_kit
from checks.mail_kit import NOW, send
from pyglue.api.turns import TurnEndParams, TurnOutcome, TurnStartParams
from pyglue.host.agent_api import AgentApi
from pyglue.host.reminders import Reminders
from pyglue.names import SYSTEM
from pyglue.store import messages, questions


class Line:
    """A connection as far as hived's side of an agent uses one."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[], None]] = []

    def on_close(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    def notify(self, *_: object) -> None:
        """Nobody reads it."""

    def lose(self) -> None:
        for callback in self._callbacks:
            callback()


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    opened = await open_kit(tmp_path)
    for name in ("alice", "bob"):
        await opened.agent(name)
    yield opened
    await opened.store.close()


def connect(kit: Kit) -> tuple[AgentApi, Line]:
    """Say hello as bob's harness, as ``lifecycle`` takes it."""
    bob, line = kit.registry.get("bob"), Line()
    connection: Any = line
    bob.harness = connection
    api = AgentApi(
        bob,
        connection,
        store=kit.store,
        registry=kit.registry,
        broker=kit.broker,
        questions=kit.questions,
        reminders=Reminders(kit.store, kit.registry, kit.broker),
        terminals=kit.terminals,
        history=kit.history,
        budgets=kit.budgets,
        credit=kit.credit,
        controls=kit.controls,
        harness=True,
    )
    return api, line


async def begin(api: AgentApi) -> int:
    return (await api._turn_start(TurnStartParams(model="haiku"))).turn


async def test_an_old_connection_that_ends_late_leaves_the_new_turn_alone(
    kit: Kit,
) -> None:
    old, line = connect(kit)
    await begin(old)
    new, _ = connect(kit)
    bob = kit.registry.get("bob")
    assert bob.turn is None  # the old one's: whatever it takes now is not the new one's
    number = await send(kit, "alice", "bob")
    (got,) = (await new._recv(NOW)).messages
    turn = await begin(new)
    line.lose()
    assert bob.turn == turn
    await new._turn_end(TurnEndParams(turn=turn, outcome=TurnOutcome.OK))
    assert got.id == number
    assert not await kit.store.read(lambda reader: messages.waits(reader, number))


@pytest.mark.parametrize("used_up", [False, True])
async def test_only_the_providers_credit_is_asked_about_as_such(
    kit: Kit, used_up: bool
) -> None:
    api, _ = connect(kit)
    bob = kit.registry.get("bob")
    turn = await begin(api)
    bob.refused = "cost" if used_up else None  # the hive's own limit did
    end = TurnEndParams(turn=turn, outcome=TurnOutcome.BUDGET, reason="too low")
    await api._turn_end(end)
    (asked,) = await kit.store.read(questions.recent)
    assert asked.asker == SYSTEM
    assert ("credit is used up" in asked.question) is not used_up
    assert (bob.over_budget is not None) is used_up
    bob.over_budget = bob.refused = None
    turn = await begin(api)
    await api._turn_end(TurnEndParams(turn=turn, outcome=TurnOutcome.OK))
    (asked,) = await kit.store.read(questions.recent)
    assert (asked.ended is not None) is not used_up
