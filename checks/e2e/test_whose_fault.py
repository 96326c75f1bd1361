"""The cause of a failed turn, found by evidence, with the real CLI.

What the model's side, a proxy or the network can answer counts against no message; a
conversation that the API does not take any more is replaced, and told of. The kinds of
answers are shared with ``test_warm_trouble``: here each of COLD is played at one moment
of a turn; with a CLI of another version than that of the records
(``checks.kits.harness.recorded``), every kind at every moment.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import cycle, product
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from checks.kits.harness.answers import COLD, FINE, NOT_THE_MAILS, REAL, Step, error
from checks.kits.harness.bench import FakeHive, script
from checks.kits.harness.process import (
    UNTIL_TOLD,
    Home,
    harness_here,
    model_here,
)
from checks.kits.harness.recorded import is_recorded_cli
from pyglue.api.agent import BEGIN_SESSION, CONTROL, ControlParams
from pyglue.api.common import AgentState, NoParams
from pyglue.api.messages import Message
from pyglue.api.turn_events import TurnEventKind
from pyglue.api.turns import StateParams, TurnEndParams, TurnOutcome
from pyglue.demo.playbook import Rule, Script
from pyglue.demo.playbook import Step as Answer
from pyglue.demo.scripted_model import ScriptedModel
from pyglue.harness.claude.evidence import QUESTION

WHOAMI: Step = {"tool": "mcp__hive__whoami", "input": {}}
OK, FAILED = TurnOutcome.OK, TurnOutcome.FAILED
REFUSED = "messages.1.content.0: `thinking` blocks cannot be modified"
TOO_LONG = error(400, "prompt is too long: 210000 tokens > 200000")
MOMENTS = ("first turn", "resumed", "during a tool")
COMPACTION = "during compaction"
IN_TURNS = (
    tuple(zip(cycle(MOMENTS), COLD, strict=False))
    if is_recorded_cli()
    else tuple(product(MOMENTS, REAL))
)
COMPACTING = (
    ("402", "200-html", "529") if is_recorded_cli() else (*REAL, "401", "500", "529")
)
CELLS = (*IN_TURNS, *((COMPACTION, name) for name in COMPACTING))
COLUMN_S = 280.0
"""The longest that a cell may wait for those before it."""


@contextlib.asynccontextmanager
async def answering(
    tmp_path: Path, wanted: Script
) -> AsyncIterator[tuple[Home, FakeHive, ScriptedModel]]:
    """Run a model with this script, and what a harness needs."""
    home = Home(tmp_path / "bob")
    home.load()
    async with (
        model_here(home.run / "model.sock", wanted) as model,
        FakeHive(home.run / "hive.sock") as hive,
    ):
        yield home, hive, model


def failing_probe(**answer: Any) -> Script:
    words = QUESTION.splitlines()[1]
    return Script(rules=(Rule(match=words, steps=(Answer(**answer),)),))


def newest(model: ScriptedModel) -> str:
    return json.dumps(model.bodies[-1]["messages"], ensure_ascii=False)


Cell = tuple[str, str]
Rows = dict[Cell, asyncio.Future["Row"]]


def names_at(when: str) -> tuple[str, ...]:
    """Return the answers that are played at this moment."""
    return tuple(name for moment, name in CELLS if moment == when)


def tries_at(when: str, before: tuple[Step, ...] = ()) -> dict[Cell, tuple[Step, ...]]:
    """Return the scripts that meet these answers after the steps ``before``."""
    return {(when, name): (*before, NOT_THE_MAILS[name]) for name in names_at(when)}


@dataclass(frozen=True)
class Row:
    """What became of a message from the try on that met one of the answers.

    ``newest`` is the request that the model was sent last.
    """

    ends: list[TurnEndParams]
    states: list[StateParams]
    left: list[Message]
    newest: str


class Column:
    """Plays answers one after another to one message, each at a try of its own.

    The harness waits after each until it is told to go on: so no answer costs a turn
    beside its own.
    """

    def __init__(self, hive: FakeHive, model: ScriptedModel, rows: Rows) -> None:
        self._hive = hive
        self._model = model
        self._rows = rows

    async def in_turns(self) -> None:
        """In first turns, then in a conversation that has worked."""

        async def begin_session() -> None:
            await self._hive.harness.call(BEGIN_SESSION, NoParams())

        await self._play(tries_at("first turn"), begin_session)
        await self._play(
            tries_at("resumed") | tries_at("during a tool", before=(WHOAMI,))
        )

    async def during_compaction(self) -> None:
        """The first in a new CLI, the others in the one that the turn before left."""
        for self._hive.keeps_warm in (True, True, False):
            await self._talk("Remember the seven lamps.")
        self._hive.keeps_warm = True
        for name in names_at(COMPACTION):
            self._model.script = Script(summary=Answer(**NOT_THE_MAILS[name]))
            await self._play({(COMPACTION, name): (TOO_LONG,)})

    async def _talk(self, body: str) -> None:
        turns = len(self._hive.ends)
        await self._hive.mail(body)
        await self._hive.until(lambda: len(self._hive.ends) > turns)

    async def _go_on(self) -> None:
        self._hive.harness.notify(CONTROL, ControlParams(again=True))

    async def _play(
        self,
        tries: Mapping[Cell, tuple[Step, ...]],
        go_on: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Let every try of a message but the last meet trouble."""
        hive, go_on = self._hive, go_on or self._go_on
        began = {}
        for cell, steps in tries.items():
            began[cell] = turns, states = len(hive.ends), len(hive.states)
            if cell == next(iter(tries)):
                await hive.mail(script(*steps))
            else:
                hive.replace_waiting(script(*steps))
                await go_on()
            await hive.until(lambda n=turns: len(hive.ends) > n)
            await hive.until(lambda n=states: any(map(is_wait, hive.states[n:])))
        turns = len(hive.ends)
        hive.replace_waiting(script(FINE))
        await go_on()
        await hive.until(lambda: len(hive.ends) > turns)
        await hive.until(lambda: hive.states[-1].state is AgentState.IDLE)
        for cell, (turns, states) in began.items():
            row = Row(
                ends=hive.ends[turns:],
                states=hive.states[states:],
                left=hive.waiting,
                newest=newest(self._model),
            )
            self._rows[cell].set_result(row)


def is_wait(state: StateParams) -> bool:
    return "Next try in" in (state.detail or "")


LANES: tuple[tuple[tuple[str, ...], Callable[[Column], Awaitable[None]]], ...] = (
    (MOMENTS, Column.in_turns),
    ((COMPACTION,), Column.during_compaction),
)
"""The columns, and at which moments each plays its answers."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rows(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rows]:
    """The answers at their moments: a harness for each column, side by side."""
    loop = asyncio.get_running_loop()
    found: Rows = {cell: loop.create_future() for cell in CELLS}

    async def lane(
        moments: tuple[str, ...], play: Callable[[Column], Awaitable[None]]
    ) -> None:
        room = tmp_path_factory.mktemp("column")
        try:
            async with (
                answering(room, Script()) as (home, hive, model),
                harness_here(home, pauses=UNTIL_TOLD),
            ):
                await play(Column(hive, model, found))
        except Exception as error:  # nobody waits for rows that will not come
            for (when, _), row in found.items():
                if when in moments and not row.done():
                    row.set_exception(error)

    lanes = [asyncio.create_task(lane(*one)) for one in LANES]
    yield found
    for task in lanes:
        task.cancel()
    await asyncio.gather(*lanes, return_exceptions=True)


async def row_of(rows: Rows, when: str, name: str) -> Row:
    async with asyncio.timeout(COLUMN_S):
        return await asyncio.shield(rows[when, name])


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("when", "name"), IN_TURNS, ids=lambda part: part.replace(" ", "-")
)
async def test_what_others_would_meet_too_is_not_the_mails_fault(
    rows: Rows, when: str, name: str
) -> None:
    row = await row_of(rows, when, name)
    end = row.ends[0]
    assert end.outcome is not OK
    assert not end.blames_messages
    assert end.reason
    waits = next(filter(is_wait, row.states))
    assert end.reason[:60] in (waits.detail or "")
    assert row.ends[-1].outcome is OK
    assert row.states[-1].state is AgentState.IDLE
    assert row.left == []


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", COMPACTING)
async def test_a_compaction_that_others_would_meet_too_keeps_the_conversation(
    rows: Rows, name: str
) -> None:
    row = await row_of(rows, COMPACTION, name)
    assert row.ends[0].outcome is not OK
    assert not row.ends[0].blames_messages
    assert row.ends[-1].outcome is OK
    assert row.states[-1].state is AgentState.IDLE
    assert row.left == []
    assert "seven lamps" in row.newest
    assert "Your earlier conversation ended" not in row.newest


async def test_a_request_that_only_the_mail_spoils_counts_against_it(
    tmp_path: Path,
) -> None:
    async with answering(tmp_path, Script()) as (home, hive, model):
        hive.body_when_back = script(FINE)
        async with harness_here(home):
            await hive.mail(script(error(400, "messages.0: cannot be read")))
            await hive.until(lambda: hive.ends and hive.ends[-1].outcome is OK)
        assert [end.outcome for end in hive.ends] == [FAILED, OK]
        assert hive.ends[0].blames_messages
        assert "cannot be read" in (hive.ends[0].reason or "")
        assert any(QUESTION.splitlines()[1] in json.dumps(b) for b in model.bodies)
        assert "Your earlier conversation ended" in newest(model)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at_work(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[FakeHive, ScriptedModel]]:
    room = tmp_path_factory.mktemp("asked")
    async with answering(room, Script()) as (home, hive, model), harness_here(home):
        await hive.until(lambda: hive.said(AgentState.IDLE))
        yield hive, model


@pytest.mark.asyncio(loop_scope="module")
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
    at_work: tuple[FakeHive, ScriptedModel], probe: dict[str, Any]
) -> None:
    hive, model = at_work
    await hive.forget()
    hive.keeps_warm = True
    hive.body_when_back = script(FINE)
    model.script = failing_probe(**probe)
    await hive.mail(script(error(400, "tools.3: no")))
    await hive.until(lambda: hive.ends and hive.ends[-1].outcome is OK)
    assert not hive.ends[0].blames_messages
    assert "Your earlier conversation ended" not in newest(model)


async def test_a_conversation_that_is_refused_twice_is_replaced(
    tmp_path: Path,
) -> None:
    async with answering(tmp_path, Script()) as (home, hive, model):
        (home.state / "notes.md").write_text("I work for carol on the archive.\n")
        hive.keeps_warm = True
        async with harness_here(home):
            await hive.mail("Remember the seven lamps.")
            await hive.until(lambda: hive.ends)
            await hive.mail(script(error(400, REFUSED, continued=True, text="again")))
            await hive.until(lambda: hive.ends[-1].outcome is OK and hive.ends[1:])
            await hive.until(lambda: hive.states[-1].state is AgentState.IDLE)
        ends = [(end.outcome, end.blames_messages) for end in hive.ends[1:3]]
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
