"""A warm CLI that was stopped for a day continues where it left off.

A test can stop it for moments only. So the clocks of harness and CLI are moved by a
day meanwhile (``checks.kits.clock``). A turn leaves no connection to the model open.
What the kernel itself does in a real day, such as with the memory of a stopped process,
is not shown by this.
"""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from checks.e2e.kit.warm import bed
from checks.kits.clock import Clock
from checks.kits.process.processes import state
from pyglue.api.turns import TurnOutcome

pytestmark = pytest.mark.needs("cc")

DAY_S = 24 * 60 * 60
WHOAMI = {"tool": "mcp__hive__whoami", "input": {}}


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(tmp_path, monkeypatch)


def answered(said: str, text: str) -> datetime:
    """Return when the CLI wrote the one answer with this text, by its own clock."""
    (line,) = [one for one in said.splitlines() if f'"text":"{text}"' in one]
    return datetime.fromisoformat(json.loads(line)["timestamp"])


async def test_after_a_day_it_answers_as_if_nothing_had_been(
    tmp_path: Path, clock: Clock
) -> None:
    async with bed(tmp_path, keepWarm=DAY_S) as it:
        await it.turn({"text": "the first answer"})
        pid = await it.paused()
        clock.advance(DAY_S - 600)
        second = await it.turn(WHOAMI, {"text": "the second answer"})
        assert second.outcome is TurnOutcome.OK
        assert (second.steps, second.tool_calls) == (2, 1)
        assert it.hive.starts[-1].warm and it.cli == pid
        assert await it.paused() == pid
        third = await it.turn({"text": "the third answer"})
        assert third.outcome is TurnOutcome.OK
        assert it.hive.starts[-1].warm and it.cli == pid
        said = it.transcript().read_text()
        at = {n: answered(said, f"the {n} answer") for n in ("first", "second")}
        assert at["second"] - at["first"] >= timedelta(seconds=DAY_S - 600), "its clock"
        assert answered(said, "the third answer") > at["second"]
        assert len(it.hive.ends) == 3


async def test_it_ends_with_its_time_and_the_next_turn_resumes(
    tmp_path: Path, clock: Clock
) -> None:
    async with bed(tmp_path, keepWarm=3600) as it:
        first = await it.turn({"text": "the first answer"})
        pid = await it.paused()
        clock.advance(DAY_S)
        await it.until(lambda: state(pid) in ("gone", "Z"))
        await it.hive.until(lambda: it.hive.warmth == [0])
        second = await it.turn({"text": "the second answer"})
        assert second.outcome is TurnOutcome.OK
        assert not it.hive.starts[-1].warm
        assert second.input_tokens > first.input_tokens, "it reads all before"
