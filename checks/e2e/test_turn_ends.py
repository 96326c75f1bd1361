"""Every way in which a turn of the real CLI can end: outcome, state, and next step.

The rows are those of the CLI's own case table. Each runs the whole harness against the
scripted model, and looks at what is done with the mail afterwards. One harness works
for all but the rows that need a conversation, or a harness, of their own: a turn there
begins in the CLI that the one before has left, if one has.
"""

from dataclasses import dataclass
from typing import Any

import pytest

from checks.e2e.kit.warm import Bed, shared_bed
from checks.kits.harness.bench import FakeHive, script
from checks.kits.harness.process import Home, harness_here
from pyglue.api.agent import CONTROL, ControlParams
from pyglue.api.common import AgentState
from pyglue.api.turn_events import TurnEventKind
from pyglue.api.turns import TurnOutcome
from pyglue.errors import ErrorCode, HiveError
from pyglue.harness.claude import options as options_module

in_module = pytest.mark.asyncio(loop_scope="module")
at_work = shared_bed()

Step = dict[str, Any]

TOO_LONG: Step = {
    "status": 400,
    "message": "prompt is too long: 210000 tokens > 200000",
}

FINE: Step = {"text": "fine"}


def error(status: int, message: str = "no", **more: Any) -> Step:
    return {"status": status, "message": message, **more}


def call(name: str, **arguments: object) -> Step:
    return {"tool": name, "input": arguments}


@dataclass(frozen=True)
class Row:
    """A way to end.

    ``blames``: it counts against the mail. ``retried``: the same mail is tried again.
    """

    name: str
    steps: tuple[Step, ...]
    outcome: TurnOutcome
    state: AgentState = AgentState.IDLE
    reason: str = ""
    blames: bool = True
    retried: bool = True
    budget_usd: float | None = None
    max_steps: int | None = None


OK, FAILED, AUTH = TurnOutcome.OK, TurnOutcome.FAILED, TurnOutcome.AUTH

LIMITED, BUDGET = TurnOutcome.RATE_LIMITED, TurnOutcome.BUDGET

ROWS = (
    Row("ok", (FINE,), OK, retried=False),
    Row("denials", (call("Bash", command="ls"), FINE), OK, retried=False),
    Row("401", (error(401),), AUTH, AgentState.RETRYING, reason="no"),
    Row("403", (error(403),), AUTH, AgentState.RETRYING, reason="no"),
    Row(
        "429",
        (error(429, "slowly"),),
        LIMITED,
        AgentState.RATE_LIMITED,
        reason="slowly",
    ),
    Row("529", (error(529),), LIMITED, AgentState.RATE_LIMITED),
    Row("500", (error(500),), FAILED, AgentState.RETRYING, blames=False),
    Row("429-then-ok", (error(429, times=2),), OK, retried=False),
    Row(
        "too-long-at-once", (TOO_LONG,), FAILED, AgentState.RETRYING, reason="too long"
    ),
    Row(
        "credit",
        (error(400, "Your credit balance is too low"),),
        BUDGET,
        AgentState.NO_CREDIT,
        reason="balance is too low",
    ),
    Row(
        "unknown-model",
        (error(404, type="not_found_error"),),
        FAILED,
        AgentState.RETRYING,
        reason="selected model",
        blames=False,
    ),
    Row(
        "max-turns",
        (call("mcp__hive__whoami"),) * 4,
        TurnOutcome.MAX_TURNS,
        AgentState.RETRYING,
        max_steps=2,
    ),
    Row(
        "max-budget",
        (call("mcp__hive__whoami"),) * 4,
        BUDGET,
        AgentState.OVER_BUDGET,
        budget_usd=0.000001,
    ),
)


FIRST = ("500", "too-long-at-once", "max-turns")
"""The rows whose turn is the first of a conversation, in a new CLI."""
ASKED_AGAIN = ("401", "429", "429-then-ok", "500", "529")
"""The rows whose answer the CLI itself asks for again."""


async def ends_so(hive: FakeHive, row: Row) -> None:
    hive.budget_usd = row.budget_usd
    hive.body_when_back = script(FINE)
    await hive.mail(script(*row.steps))
    await hive.until(lambda: hive.ends)
    first = hive.ends[0]
    assert first.outcome is row.outcome, first
    assert row.reason in (first.reason or "")
    if first.outcome is FAILED:
        assert first.blames_messages is row.blames
    assert first.budget_used is (row.name == "max-budget")
    assert bool(hive.texts(TurnEventKind.RETRY)) is (row.name in ASKED_AGAIN)
    if row.retried:
        hive.budget_usd = None
        await hive.until(lambda: len(hive.ends) >= 2 and hive.ends[-1].outcome is OK)
        assert hive.said(row.state)
        waits = [s for s in hive.states if "Next try in" in (s.detail or "")]
        assert waits
        assert waits[0].state is row.state
        assert row.reason in (waits[0].detail or "")
    await hive.until(lambda: hive.states[-1].state is AgentState.IDLE)
    assert hive.waiting == []


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.name in FIRST], ids=lambda row: row.name
)
async def test_a_first_turn_ends(
    home: Home, hive: FakeHive, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    if row.max_steps is not None:
        monkeypatch.setattr(
            options_module.CliOptions.__init__,
            "__kwdefaults__",
            {"max_steps": row.max_steps},
        )
    home.load()
    async with harness_here(home):
        await ends_so(hive, row)


@in_module
@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.name not in FIRST], ids=lambda row: row.name
)
async def test_a_turn_ends(it: Bed, row: Row) -> None:
    await ends_so(it.hive, row)


@in_module
async def test_two_failed_logins_wait_for_the_operator(it: Bed) -> None:
    hive = it.hive
    await hive.mail(script(error(401)))
    await hive.until(lambda: hive.said(AgentState.NEEDS_LOGIN))
    assert [end.outcome for end in hive.ends] == [AUTH, AUTH]
    assert len(hive.waiting) == 1
    since = hive.states[-1].since_at
    hive.stop()  # it says the same, since the same moment, to a hived that is new
    await hive.start()
    await hive.until(lambda: len(hive.reports) == 2)
    await hive.until(lambda: hive.states[-1].since_at == since)
    hive.harness.notify(CONTROL, ControlParams())
    hive.body_when_back = None
    hive.replace_waiting(script(FINE))
    hive.harness.notify(CONTROL, ControlParams(again=True))
    await hive.until(lambda: hive.ends[-1].outcome is OK)
    assert len(hive.ends) == 3


@in_module
async def test_mail_whose_answer_was_lost_comes_with_the_next(it: Bed) -> None:
    hive = it.hive
    hive.loses_answer = True
    await hive.mail(script(FINE))
    await hive.until(lambda: not hive.loses_answer)
    hive.harness.notify(CONTROL, ControlParams(again=True))  # it asks anew
    await hive.until(lambda: hive.ends)
    assert hive.ends[-1].outcome is OK


@in_module
async def test_the_servers_wait_is_kept(it: Bed) -> None:
    hive = it.hive
    hive.retry_after_s = 3600.0
    await hive.mail(script(error(429)))
    await hive.until(lambda: hive.said(AgentState.RATE_LIMITED))
    assert "Next try in 3600 s" in (hive.states[-1].detail or "")
    hive.replace_waiting(script(FINE))
    hive.harness.notify(CONTROL, ControlParams(again=True))
    await hive.until(lambda: hive.ends[-1].outcome is OK)


@in_module
@pytest.mark.parametrize(
    "code", [ErrorCode.UNAVAILABLE, ErrorCode.DISK_FULL, ErrorCode.INTERNAL]
)
async def test_an_end_is_reported_until_it_is_recorded(
    it: Bed, code: ErrorCode
) -> None:
    hive = it.hive
    hive.refuse_ends = [HiveError(code, "Not now.")] * 2
    await hive.mail(script({"text": "fine"}))
    await hive.until(lambda: hive.ends)
    assert hive.ends[0].outcome is TurnOutcome.OK
    assert (hive.refuse_ends, hive.waiting) == ([], [])
    assert len(hive.starts) == 1
    assert any(state.detail == "Not now." for state in hive.states)


@in_module
async def test_an_end_that_is_never_taken_ends_with_the_connection(it: Bed) -> None:
    hive = it.hive
    hive.refuse_ends = [HiveError(ErrorCode.CONFLICT, "Turn 1 is not running.")]
    await hive.mail(script({"text": "fine"}))
    await hive.until(lambda: hive.ends)  # the messages came again on a new one
    assert (len(hive.starts), len(hive.ends)) == (2, 1)


@in_module
async def test_a_full_conversation_is_shortened_by_the_cli(it: Bed) -> None:
    hive = it.hive
    hive.keeps_warm = False
    for _ in range(3):
        await hive.mail(script(FINE))
    await hive.until(lambda: hive.ends and not hive.waiting)
    await hive.mail(script({**TOO_LONG, "times": 1}))
    await hive.until(lambda: hive.ends[-1].outcome is TurnOutcome.COMPACTED)
    assert hive.texts(TurnEventKind.COMPACTED)
    assert {end.outcome for end in hive.ends} == {OK, TurnOutcome.COMPACTED}
