"""Whose fault a failed turn is, found by evidence, with the real CLI.

What the model's side, a proxy or the network can answer counts against no message; a
conversation that the API does not take any more is replaced, and told of.
"""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from checks.kits.harness.answers import NOT_THE_MAILS, Step, error
from checks.kits.harness.bench import FakeHive, script
from checks.kits.harness.process import Home, harness_here, model_socket
from pyglue.api.agent import BEGIN_SESSION
from pyglue.api.common import AgentState, NoParams
from pyglue.api.turn_events import TurnEventKind
from pyglue.api.turns import TurnOutcome
from pyglue.demo.playbook import Rule, Script
from pyglue.demo.playbook import Step as Answer
from pyglue.demo.scripted_model import ScriptedModel
from pyglue.harness.claude.evidence import QUESTION

FINE: Step = {"text": "fine"}
WHOAMI: Step = {"tool": "mcp__hive__whoami", "input": {}}
OK, FAILED = TurnOutcome.OK, TurnOutcome.FAILED
REFUSED = "messages.1.content.0: `thinking` blocks cannot be modified"
REAL = (
    *("402", "405", "407-html", "409", "425", "451"),
    *("200-html", "200-empty", "200-cut-json", "200-another-api", "200-only-start"),
    "200-error-event",
)
"""A part of all answers, one of each kind; the CLI's word on all is in ``recorded``."""


@contextlib.asynccontextmanager
async def answering(
    tmp_path: Path, wanted: Script
) -> AsyncIterator[tuple[Home, FakeHive, ScriptedModel]]:
    """Run a model with this script, and what a harness needs."""
    model = ScriptedModel(wanted)
    await model.start()
    home = Home(tmp_path / "bob")
    port = int(model.address.rpartition(":")[2])
    async with (
        model_socket(home.run / "model.sock", port),
        FakeHive(home.run / "hive.sock") as hive,
    ):
        home.load()
        yield home, hive, model
    await model.stop()


def failing_probe(**answer: Any) -> Script:
    words = QUESTION.splitlines()[1]
    return Script(rules=(Rule(match=words, steps=(Answer(**answer),)),))


def newest(model: ScriptedModel) -> str:
    return json.dumps(model.bodies[-1]["messages"], ensure_ascii=False)


@pytest.mark.parametrize("when", ["first turn", "resumed", "during a tool"])
@pytest.mark.parametrize("name", REAL)
async def test_what_others_would_meet_too_is_not_the_mails_fault(
    home: Home, hive: FakeHive, name: str, when: str
) -> None:
    home.load()
    hive.body_when_back = script(FINE)
    before = (WHOAMI,) if when == "during a tool" else ()
    async with harness_here(home):
        if when == "resumed":
            await hive.mail(script(FINE))
            await hive.until(lambda: hive.ends)
        turns = len(hive.ends)
        await hive.mail(script(*before, NOT_THE_MAILS[name]))
        await hive.until(lambda: len(hive.ends) > turns)
        end = hive.ends[turns]
        assert end.outcome is not OK
        assert not end.blames_mail
        assert end.reason
        await hive.until(lambda: hive.ends[-1].outcome is OK)
        (waits, *_) = [s for s in hive.states if "Next try in" in (s.detail or "")]
        assert end.reason[:60] in (waits.detail or "")
        await hive.until(lambda: hive.states[-1].state is AgentState.IDLE)
        assert hive.waiting == []


async def test_a_request_that_only_the_mail_spoils_counts_against_it(
    tmp_path: Path,
) -> None:
    async with answering(tmp_path, Script()) as (home, hive, model):
        hive.body_when_back = script(FINE)
        async with harness_here(home):
            await hive.mail(script(error(400, "messages.0: cannot be read")))
            await hive.until(lambda: hive.ends and hive.ends[-1].outcome is OK)
        assert [end.outcome for end in hive.ends] == [FAILED, OK]
        assert hive.ends[0].blames_mail
        assert "cannot be read" in (hive.ends[0].reason or "")
        assert any(QUESTION.splitlines()[1] in json.dumps(b) for b in model.bodies)
        assert "Your earlier conversation ended" in newest(model)


@pytest.mark.parametrize(
    "probe",
    [
        {"status": 400, "message": "tools.3.custom.input_schema: invalid"},
        {"status": 529},
        {"raw": "", "content_type": "text/plain"},
    ],
    ids=["refused", "overloaded", "empty"],
)
async def test_a_request_that_fails_without_the_mail_does_not(
    tmp_path: Path, probe: dict[str, Any]
) -> None:
    async with answering(tmp_path, failing_probe(**probe)) as (home, hive, model):
        hive.body_when_back = script(FINE)
        async with harness_here(home):
            await hive.mail(script(error(400, "tools.3: no")))
            await hive.until(lambda: hive.ends and hive.ends[-1].outcome is OK)
        assert not hive.ends[0].blames_mail
        assert "Your earlier conversation ended" not in newest(model)


async def test_a_conversation_that_is_refused_twice_is_replaced(
    tmp_path: Path,
) -> None:
    async with answering(tmp_path, Script()) as (home, hive, model):
        (home.state / "notes.md").write_text("I work for carol on the archive.\n")
        async with harness_here(home):
            await hive.mail("Remember the seven lamps.")
            await hive.until(lambda: hive.ends)
            await hive.mail(script(error(400, REFUSED, continued=True, text="again")))
            await hive.until(lambda: hive.ends[-1].outcome is OK and hive.ends[1:])
            await hive.until(lambda: hive.states[-1].state is AgentState.IDLE)
        ends = [(end.outcome, end.blames_mail) for end in hive.ends[1:3]]
        assert ends == [(FAILED, False), (FAILED, False)]
        assert [end.outcome for end in hive.ends[3:]] == [OK]
        told = newest(model)
        assert "refuses to continue it" in told
        assert "I work for carol on the archive." in told
        assert "Remember the seven lamps." in told
        logs = [one["text"] for one in hive.texts(TurnEventKind.LOG)]
        (why,) = [text for text in logs if "new session" in text]
        assert REFUSED.split("`")[0] in why
        kept = Path(why.rpartition("kept at ")[2].removesuffix("."))
        assert "seven lamps" in kept.read_text()


async def test_an_operator_may_have_a_new_session(tmp_path: Path) -> None:
    async with answering(tmp_path, Script()) as (home, hive, model):
        async with harness_here(home):
            await hive.mail("Remember the seven lamps.")
            await hive.until(lambda: hive.ends)
            await hive.until(lambda: hive.states[-1].state is AgentState.IDLE)
            await hive.harness.call(BEGIN_SESSION, NoParams())
            await hive.until(lambda: hive.texts(TurnEventKind.LOG))
        async with harness_here(home):  # also over a restart
            await hive.mail("What did I say?")
            await hive.until(lambda: len(hive.ends) == 2)
        roles = [one["role"] for one in model.bodies[-1]["messages"]]
        assert "assistant" not in roles
        assert "An operator asked for a new one." in newest(model)
        assert "Remember the seven lamps." in newest(model)


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 529},
        {"status": 500},
        {"raw": "<html>", "content_type": "text/html"},
        {"status": 401},
    ],
    ids=["529", "500", "200-html", "401"],
)
async def test_a_compaction_that_others_would_meet_too_keeps_the_conversation(
    tmp_path: Path, answer: dict[str, Any]
) -> None:
    too_long = error(400, "prompt is too long: 210000 tokens > 200000")
    wanted = Script(summary=Answer(**answer))
    async with answering(tmp_path, wanted) as (home, hive, model):
        hive.body_when_back = script(FINE)
        async with harness_here(home):
            for turns in range(1, 4):
                await hive.mail("Remember the seven lamps.")
                await hive.until(lambda wanted=turns: len(hive.ends) == wanted)
            await hive.mail(script(too_long))
            await hive.until(lambda: len(hive.ends) > turns)
            assert hive.ends[turns].outcome is not OK
            assert not hive.ends[turns].blames_mail
            await hive.until(lambda: hive.ends[-1].outcome is OK)
        assert "seven lamps" in newest(model)
        assert "Your earlier conversation ended" not in newest(model)
