"""Problems in a kept CLI end a turn as in a new one.

An answer of each kind stands where the model's should in a warm turn, at once or after
a tool call. What the real CLI said of the same answer in a cold turn is recorded;
``test_whose_fault`` gives it the others in cold turns. With a CLI of another version
than the records', every answer of the kit is played. What else ends a warm turn is
here, too.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import cycle

import pytest
import pytest_asyncio

from checks.kits.harness.answers import (
    FINE,
    NOT_THE_MAILS,
    REAL,
    RECOVERS,
    WARM,
    Step,
    error,
)
from checks.kits.harness.bench import FakeHive, script
from checks.kits.harness.process import Home, harness_here, model_socket
from checks.kits.harness.recorded import ends_alike, is_recorded_cli
from pyglue.api.common import AgentState
from pyglue.api.messages import Message
from pyglue.api.turns import TurnEndParams, TurnOutcome, TurnStartParams
from pyglue.demo.playbook import Script
from pyglue.demo.scripted_model import ScriptedModel

OK = TurnOutcome.OK
WHOAMI: Step = {"tool": "mcp__hive__whoami", "input": {}}
AT_ONCE, AFTER_A_TOOL = "at once", "after a tool"
CELLS = (
    tuple(zip(cycle((AT_ONCE, AFTER_A_TOOL)), WARM, strict=False))
    if is_recorded_cli()
    else (
        *((AT_ONCE, name) for name in NOT_THE_MAILS),
        *((AFTER_A_TOOL, name) for name in REAL),
    )
)
LANES = 1 if is_recorded_cli() else 2
"""Harnesses that play side by side: the CLI itself waits before it asks again."""
COLUMN_S = 280.0
"""The longest that a cell may wait for those before it."""

Rows = dict[tuple[str, str], asyncio.Future["Row"]]


@dataclass(frozen=True)
class Row:
    """What became of a message that met trouble in a warm turn."""

    start: TurnStartParams
    ends: list[TurnEndParams]
    again: list[TurnStartParams]
    left: list[Message]


async def warmed(hive: FakeHive) -> None:
    """Have a CLI that stayed after a turn."""
    await hive.mail(script(FINE))
    await hive.until(lambda: hive.ends)
    assert hive.ends[0].outcome is OK


async def _row(hive: FakeHive, *steps: Step) -> Row:
    turns = len(hive.ends)
    await hive.mail(script(*steps))
    await hive.until(lambda: len(hive.ends) > turns and hive.ends[-1].outcome is OK)
    await hive.until(lambda: hive.states[-1].state is AgentState.IDLE)
    starts = hive.starts[turns:]
    return Row(starts[0], hive.ends[turns:], starts[1:], hive.waiting)


async def _lane(
    home: Home, model: ScriptedModel, cells: tuple[tuple[str, str], ...], rows: Rows
) -> None:
    """Play cells one after another to one harness: each leaves a warm CLI behind."""
    home.load(keepWarm=300)
    port = int(model.address.rpartition(":")[2])
    try:
        async with (
            model_socket(home.run / "model.sock", port),
            FakeHive(home.run / "hive.sock", keeps_warm=True) as hive,
            harness_here(home),
        ):
            hive.body_when_back = script(FINE)
            await warmed(hive)
            for when, name in cells:
                before = (WHOAMI,) if when == AFTER_A_TOOL else ()
                row = await _row(hive, *before, NOT_THE_MAILS[name])
                rows[when, name].set_result(row)
    except Exception as error:  # nobody waits for rows that will not come
        for cell in cells:
            if not rows[cell].done():
                rows[cell].set_exception(error)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rows(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rows]:
    """Every answer, each in the second or a later turn of a CLI."""
    loop = asyncio.get_running_loop()
    found: Rows = {cell: loop.create_future() for cell in CELLS}
    model = ScriptedModel(Script())
    await model.start()
    lanes = [
        asyncio.create_task(
            _lane(
                Home(tmp_path_factory.mktemp("lane") / "bob"),
                model,
                CELLS[number::LANES],
                found,
            )
        )
        for number in range(LANES)
    ]
    yield found
    for task in lanes:
        task.cancel()
    await asyncio.gather(*lanes, return_exceptions=True)
    await model.stop()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("when", "name"), CELLS, ids=lambda part: part.replace(" ", "-")
)
async def test_a_warm_turn_ends_as_a_cold_one(rows: Rows, when: str, name: str) -> None:
    async with asyncio.timeout(COLUMN_S):
        row = await asyncio.shield(rows[when, name])
    end = row.ends[0]
    assert row.start.warm
    assert ends_alike(name, end.outcome, end.reason), end.reason
    assert not end.blames_messages
    assert (end.warm_bytes == 0) is (end.outcome is not OK), (
        "nothing stays after trouble"
    )
    assert (end.outcome is OK) is (name in RECOVERS)
    assert not any(start.warm for start in row.again[:1])
    assert row.ends[-1].outcome is OK
    assert row.left == []


async def test_a_conversation_that_is_too_long_is_compacted_and_tried_again(
    home: Home, hive: FakeHive
) -> None:
    home.load(keepWarm=300)
    hive.keeps_warm = True
    too_long = error(400, "prompt is too long: 210000 tokens > 200000", continued=True)
    async with harness_here(home):
        for turns in range(1, 4):
            await hive.mail("Remember the seven lamps.")
            await hive.until(lambda wanted=turns: len(hive.ends) == wanted)
        await hive.mail(script(too_long | {"text": "again"}))
        await hive.until(lambda: len(hive.ends) == 4)
        assert hive.starts[3].warm
        assert hive.ends[3].outcome is TurnOutcome.COMPACTED
        await hive.mail(script(FINE))
        await hive.until(lambda: len(hive.ends) == 5)
        assert hive.ends[4].outcome is OK


async def test_a_mail_that_spoils_every_request_is_blamed_in_the_end(
    home: Home, hive: FakeHive
) -> None:
    """Not before: the conversation, which has worked, may be what is refused."""
    home.load(keepWarm=300)
    hive.keeps_warm = True
    async with harness_here(home):
        await warmed(hive)
        await hive.mail(script(error(400, "messages.0: cannot be read")))
        await hive.until(lambda: hive.ends[-1].blames_messages)
    assert [start.warm for start in hive.starts[:4]] == [False, True, False, False]
    failed = hive.ends[1:4]
    assert {end.outcome for end in failed} == {TurnOutcome.FAILED}
    assert [end.blames_messages for end in failed] == [False, False, True]
