"""Trouble in a CLI that stayed ends a turn as in one that was started for it.

The warm column of the table in ``test_whose_fault``: the same answers stand where the
model's should, in the second turn of a CLI. What else ends such a turn is here, too.
"""

import pytest

from checks.kits.harness.answers import FINE, NOT_THE_MAILS, REAL, error
from checks.kits.harness.bench import FakeHive, script
from checks.kits.harness.process import Home, harness_here
from pyglue.api.common import AgentState
from pyglue.api.turns import TurnOutcome

OK = TurnOutcome.OK
MORE = ("401", "404", "429", "500", "529")
"""Those that people meet most: login, unknown model, limits, overload."""


async def warmed(hive: FakeHive) -> None:
    """Have a CLI that stayed after a turn."""
    await hive.mail(script(FINE))
    await hive.until(lambda: hive.ends)
    assert hive.ends[0].outcome is OK


@pytest.mark.parametrize("name", [*REAL, *MORE])
async def test_what_others_would_meet_too_is_not_the_mails_fault(
    home: Home, hive: FakeHive, name: str
) -> None:
    home.load(keepWarm=300)
    hive.keeps_warm = True
    hive.body_when_back = script(FINE)
    async with harness_here(home):
        await warmed(hive)
        await hive.mail(script(NOT_THE_MAILS[name]))
        await hive.until(lambda: len(hive.ends) > 1)
        end = hive.ends[1]
        assert hive.starts[1].warm
        assert end.outcome is not OK
        assert not end.blames_mail
        assert end.reason
        assert end.warm_bytes == 0, "nothing stays after trouble"
        await hive.until(lambda: hive.ends[-1].outcome is OK)
        assert not hive.starts[2].warm
        await hive.until(lambda: hive.states[-1].state is AgentState.IDLE)
        assert hive.waiting == []


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
        await hive.until(lambda: hive.ends[-1].blames_mail)
    assert [start.warm for start in hive.starts[:4]] == [False, True, False, False]
    failed = hive.ends[1:4]
    assert {end.outcome for end in failed} == {TurnOutcome.FAILED}
    assert [end.blames_mail for end in failed] == [False, False, True]
