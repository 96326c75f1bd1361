"""Turns in a kept CLI: like any other turn, and nothing is lost with it.

The real harness and CLI over the scripted model; hived's side is the kit's. Each case
says what happens to the CLI between two turns, and which one the second runs in. One
harness works for all that need no other manifest; the first turn of a case may run in
what the case before left.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.json import decode

from checks.e2e.kit.warm import Bed, bed, laid, shared_bed
from checks.kits.harness.bench import script, server
from checks.kits.harness.process import ECHO_SERVER, harness
from checks.kits.process.processes import state
from pyglue.api.agent import (
    CANCEL_TURN,
    COMPACT_SESSION,
    CONTROL,
    COOL,
    WATCHED,
    CancelTurnParams,
    ControlParams,
)
from pyglue.api.common import AgentState, NoParams
from pyglue.api.live_text import WatchedParams
from pyglue.api.turn_events import Text, TurnEventKind
from pyglue.api.turns import TurnOutcome
from pyglue.process.family import Family

in_module = pytest.mark.asyncio(loop_scope="module")
BASH: dict[str, Any] = {
    "allowedTools": ["Bash"],
    "bash": {"allow": ["sleep *", "ls"]},
}


at_work = shared_bed(**BASH)


async def test_the_next_turn_runs_in_the_same_cli(tmp_path: Path) -> None:
    async with bed(tmp_path, **BASH) as it:
        first = await it.turn({"text": "one"})
        assert first.outcome is TurnOutcome.OK
        assert first.warm_bytes > 0
        pid = await it.paused()
        second = await it.turn(
            {"tool": "mcp__hive__send", "input": {"to": "alice", "body": "hi"}},
            {"text": "two"},
        )
        assert it.cli == pid
        assert [start.warm for start in it.hive.starts] == [False, True]
        assert second.outcome is TurnOutcome.OK
        assert (second.steps, second.tool_calls) == (2, 1), "of this turn alone"
        assert 0 < second.input_tokens < 3 * first.input_tokens
        assert 0 < second.cost_usd < 3 * first.cost_usd
        assert it.hive.sent[0].body == "hi"
        said = it.transcript().read_text()
        assert said.count('"text":"one"') == said.count('"text":"two"') == 1
    assert state(pid) == "gone", "it ends with the harness"


async def test_nothing_stays_where_the_manifest_says_so(tmp_path: Path) -> None:
    async with bed(tmp_path, keepWarm=0, **BASH) as it:
        assert (await it.turn()).warm_bytes == 0
        assert it.clis() == []


async def test_it_ends_after_its_time(tmp_path: Path) -> None:
    async with bed(tmp_path, keepWarm=1, **BASH) as it:
        await it.turn()
        await it.until(lambda: it.clis() == [])
        await it.hive.until(lambda: it.hive.warmth == [0])


async def test_a_server_that_died_in_between_runs_again(tmp_path: Path) -> None:
    echo = tmp_path / "echo.py"
    echo.write_text(ECHO_SERVER)
    servers = {"echo": server(sys.executable, str(echo), tools=("say",))}
    async with bed(tmp_path, mcpServers=servers) as it:
        await it.turn({"tool": "mcp__echo__say", "input": {}}, {"text": "one"})
        pid = await it.paused()
        members = [one for one, _ in Family.of(pid).members]
        assert len(members) == 2
        os.kill(members[1], signal.SIGKILL)
        await it.until(lambda: state(members[1]) in ("gone", "Z"))
        second = await it.turn({"tool": "mcp__echo__say", "input": {}}, {"text": "two"})
        assert second.outcome is TurnOutcome.OK
        results = it.hive.texts(TurnEventKind.TOOL_RESULT)
        assert [one["is_error"] for one in results] == [False, False]
        assert it.cli != pid


async def test_a_killed_harness_leaves_no_stopped_cli(tmp_path: Path) -> None:
    async with laid(tmp_path) as it, harness(it.home, checked=False) as process:
        await it.turn()
        pid = await it.paused()
        process.kill()
        await it.until(lambda: state(pid) in ("gone", "Z"))


@in_module
async def test_nothing_stays_that_hived_does_not_grant(it: Bed) -> None:
    it.hive.keeps_warm = False
    assert (await it.turn()).warm_bytes > 0
    await it.until(lambda: it.clis() == [])
    await it.turn()
    assert [start.warm for start in it.hive.starts] == [False, False]


@in_module
async def test_what_is_written_is_sent_while_somebody_watches(it: Bed) -> None:
    """In the words of the CLI's partial messages; it ends with the whole text."""
    text = "All of the tests pass now."
    step = {"text": text, "chunk_sleep": 0.02}
    await it.turn(step)
    assert it.hive.live == []
    it.hive.harness.notify(WATCHED, WatchedParams(watched=True))
    await it.turn(step)
    assert it.hive.live
    assert {one.turn for one in it.hive.live} == {2}
    assert all(one.text and text.startswith(one.text) for one in it.hive.live)
    whole = [one for one in it.hive.events if one.kind == TurnEventKind.TEXT]
    assert [decode(one.data, type=Text).text for one in whole] == [text, text]
    live = len(it.hive.live)
    it.hive.harness.notify(WATCHED, WatchedParams(watched=False))
    await it.turn(step)
    assert len(it.hive.live) == live
    assert [start.warm for start in it.hive.starts] == [False, True, True]


@in_module
async def test_the_gate_holds_in_a_cli_that_stayed(it: Bed) -> None:
    await it.turn()
    end = await it.turn(
        {"tool": "Bash", "input": {"command": "touch stolen"}}, {"text": "x"}
    )
    assert it.hive.starts[-1].warm
    assert end.denials == 1
    assert not (it.home.state / "stolen").exists()


@in_module
async def test_hived_takes_it_back(it: Bed) -> None:
    await it.turn()
    await it.paused()
    it.hive.harness.notify(COOL, NoParams())
    await it.until(lambda: it.clis() == [])
    await it.hive.until(lambda: it.hive.warmth == [0])
    assert (await it.turn()).outcome is TurnOutcome.OK


@in_module
async def test_a_cancelled_turn_leaves_none(it: Bed) -> None:
    await it.turn()
    await it.hive.mail(
        script({"tool": "Bash", "input": {"command": "sleep 60"}}, {"text": "x"})
    )
    await it.hive.until(lambda: it.hive.texts(TurnEventKind.TOOL_USE))
    it.hive.body_when_back = script({"text": "again"})
    await it.hive.harness.call(CANCEL_TURN, CancelTurnParams(reason="enough"))
    await it.hive.until(lambda: len(it.hive.ends) == 3)
    ends = it.hive.ends
    assert [end.outcome for end in ends] == [
        TurnOutcome.OK,
        TurnOutcome.CANCELLED,
        TurnOutcome.OK,
    ]
    assert [start.warm for start in it.hive.starts[1:]] == [True, False]


@in_module
async def test_one_killed_in_a_turn_costs_that_turn_only(it: Bed) -> None:
    await it.turn()
    pid = it.cli
    await it.hive.mail(
        script({"tool": "Bash", "input": {"command": "sleep 60"}}, {"text": "x"})
    )
    await it.hive.until(lambda: it.hive.texts(TurnEventKind.TOOL_USE))
    it.hive.body_when_back = script({"text": "again"})
    os.kill(pid, signal.SIGKILL)
    await it.hive.until(lambda: len(it.hive.ends) == 3)
    outcomes = [end.outcome for end in it.hive.ends]
    assert outcomes == [TurnOutcome.OK, TurnOutcome.FAILED, TurnOutcome.OK]


@in_module
async def test_a_pause_ends_it(it: Bed) -> None:
    await it.turn()
    it.hive.harness.notify(CONTROL, ControlParams(paused="The hive is paused."))
    await it.until(lambda: it.clis() == [])
    await it.hive.until(lambda: it.hive.said(AgentState.PAUSED))
    it.hive.harness.notify(CONTROL, ControlParams())


# --- what makes a new CLI necessary -----------------------------------------------


async def _killed(it: Bed) -> None:
    os.kill(await it.paused(), signal.SIGKILL)


async def _killed_at_once(it: Bed) -> None:
    os.kill(it.cli, signal.SIGKILL)


async def _another_model(it: Bed) -> None:
    it.hive.model = "sonnet"


async def _less_budget(it: Bed) -> None:
    it.hive.budget_usd = 5.0


async def _file_changed(it: Bed) -> None:
    await it.paused()
    with it.transcript().open("a") as file:
        file.write("\n")


async def _compacted(it: Bed) -> None:
    await it.hive.harness.call(COMPACT_SESSION, NoParams())
    await it.hive.until(lambda: it.hive.texts(TurnEventKind.COMPACTED))


@in_module
@pytest.mark.parametrize(
    "happens",
    [
        _killed,
        _killed_at_once,
        _file_changed,
        _compacted,
        _another_model,
        _less_budget,
    ],
    ids=lambda one: one.__name__.strip("_"),
)
async def test_a_new_one_goes_on_where_the_old_one_was(it: Bed, happens: Any) -> None:
    before, after = (f"{when} it is {happens.__name__}" for when in ("before", "after"))
    first = await it.turn({"text": before})
    pid = it.cli
    await happens(it)
    second = await it.turn({"text": after})
    assert second.outcome is TurnOutcome.OK
    assert it.cli != pid
    assert state(pid) in ("gone", "Z")
    said = it.transcript().read_text()
    assert said.count(f'"text":"{before}"') == said.count(f'"text":"{after}"') == 1
    if happens is not _compacted:
        assert second.input_tokens > first.input_tokens, "it reads all before"
