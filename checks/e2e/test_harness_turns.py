"""Turns of the harness that fail, are cancelled or are lost, with the real CLI.

One harness works for all tests that neither need a new CLI nor stop or patch anything.
"""

import signal
import time
from typing import Any

import pytest

from checks.e2e.kit.warm import Bed, shared_bed
from checks.kits.harness.bench import FakeHive, script
from checks.kits.harness.process import Home, harness, harness_here
from pyglue.api.agent import CANCEL_TURN, CancelTurnParams
from pyglue.api.common import AgentState
from pyglue.api.turn_events import TurnEventKind
from pyglue.api.turns import TurnOutcome
from pyglue.errors import ErrorCode, HiveError
from pyglue.harness import loop

in_module = pytest.mark.asyncio(loop_scope="module")
at_work = shared_bed()

Step = dict[str, Any]


def tool(name: str, **arguments: object) -> Step:
    return {"tool": name, "input": arguments}


async def test_stopping_reports_the_turn(home: Home, hive: FakeHive) -> None:
    home.load()
    async with harness(home, checked=False) as process:
        await hive.mail(script(tool("mcp__hive__recv", wait_seconds=120)))
        await hive.until(lambda: hive.texts(TurnEventKind.TOOL_USE))
        process.send_signal(signal.SIGTERM)
        await hive.until(lambda: hive.ends)
        assert hive.ends[0].outcome is TurnOutcome.CANCELLED
        assert await process.wait() == 0
        assert len(hive.waiting) == 1


async def test_after_a_suspend_it_is_idle_without_a_message(
    home: Home, hive: FakeHive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both sides stood still for longer than it waits for an answer."""
    monkeypatch.setattr(loop, "_WAIT_S", 0.2)
    monkeypatch.setattr(loop, "_SLACK_S", 0.1)
    home.load()
    async with harness_here(home):
        await hive.until(lambda: hive.asked_mail)
        time.sleep(1.0)  # nothing runs: this is the suspend
        await hive.until(lambda: hive.said(AgentState.RETRYING))
        await hive.until(lambda: hive.states[-1].state is AgentState.IDLE)


async def test_what_kept_it_from_its_messages_is_over_when_it_waits_for_them(
    home: Home, hive: FakeHive
) -> None:
    home.load()
    hive.refuse_recv = HiveError(ErrorCode.TIMEOUT, "No answer to recv in 210 s.")
    async with harness_here(home):
        await hive.until(lambda: hive.said(AgentState.RETRYING))
        await hive.until(lambda: hive.states[-1].state is AgentState.IDLE)
    states = [one.state for one in hive.states]
    assert states == [AgentState.IDLE, AgentState.RETRYING, AgentState.IDLE]


@in_module
async def test_cancel_without_a_turn_does_nothing(it: Bed) -> None:
    hive = it.hive
    await hive.harness.call(CANCEL_TURN, CancelTurnParams(reason="x"))
    await hive.mail(script({"text": "fine"}))
    await hive.until(lambda: hive.ends)
    assert hive.ends[0].outcome is TurnOutcome.OK


@in_module
async def test_refused_turn_gives_the_mail_back(it: Bed) -> None:
    hive = it.hive
    hive.refuse_turns = HiveError(ErrorCode.RATE_LIMITED, "60 turns this hour.")
    await hive.mail(script({"text": "fine"}))
    await hive.until(lambda: hive.said(AgentState.RATE_LIMITED))
    assert any("60 turns" in (s.detail or "") for s in hive.states)
    hive.refuse_turns = None
    await hive.until(lambda: hive.ends)
    assert hive.ends[0].outcome is TurnOutcome.OK


@in_module
@pytest.mark.parametrize(
    ("status", "message", "outcome", "state"),
    [
        (400, "odd", "failed", "retrying"),
        (402, "There is an issue with your payment", "budget", "no_credit"),
    ],
)
async def test_failed_turn_gives_mail_back_and_tries_again(
    it: Bed, status: int, message: str, outcome: str, state: str
) -> None:
    hive = it.hive
    hive.body_when_back = script({"text": "fine"})
    await hive.mail(script({"status": status, "message": message}))
    await hive.until(lambda: len(hive.ends) == 2)
    first, second = hive.ends
    assert first.outcome.value == outcome
    assert first.reason is not None
    assert message.rpartition(" ")[2] in first.reason
    assert hive.said(AgentState(state))
    assert second.outcome is TurnOutcome.OK
    assert hive.waiting == []
    assert not hive.texts(TurnEventKind.RETRY)


@in_module
async def test_hived_restarts_in_a_turn(it: Bed) -> None:
    hive = it.hive
    wait = tool("mcp__hive__recv", wait_seconds=0)
    await hive.mail(script({"text": "a b c d", "chunk_sleep": 0.2, **wait}))
    await hive.until(lambda: hive.starts)
    hive.stop()
    await hive.start()
    await hive.until(lambda: len(hive.reports) == 2)
    await hive.until(lambda: len(hive.ends) == 1)
    # The mail had gone back with the lost connection, so it ran once more.
    assert len(hive.starts) == 2
    assert hive.ends[0].turn == 2
    assert hive.waiting == []


@in_module
async def test_cancel_in_a_tool(it: Bed) -> None:
    hive = it.hive
    wait = tool("mcp__hive__recv", wait_seconds=120)
    await hive.mail(script(wait, {"text": "never"}), redelivered=True)
    await hive.until(lambda: hive.texts(TurnEventKind.TOOL_USE))
    hive.body_when_back = script({"text": "fine"})
    await hive.harness.call(CANCEL_TURN, CancelTurnParams(reason="a deploy"))
    await hive.until(lambda: hive.ends)
    assert hive.ends[0].outcome is TurnOutcome.CANCELLED
    assert hive.ends[0].reason == "a deploy"


@in_module
async def test_cancel_while_the_model_thinks(it: Bed) -> None:
    hive = it.hive
    await hive.mail(script({"text": "word " * 400, "chunk_sleep": 0.1}))
    await hive.until(lambda: hive.starts)
    hive.body_when_back = script({"text": "fine"})
    await hive.harness.call(CANCEL_TURN, CancelTurnParams(reason="enough"))
    await hive.until(lambda: hive.ends)
    assert hive.ends[0].outcome is TurnOutcome.CANCELLED
