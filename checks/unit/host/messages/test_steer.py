"""Messages to a running turn: which ones, who is informed, their outcome."""

from typing import Any

import pytest

from checks.kits.host.harness import Harness
from checks.kits.host.store import Kit, put
from pyglue.api.agent import NEWS
from pyglue.api.inbox import MessagesParams
from pyglue.api.messages import Priority, Progress, Stage
from pyglue.api.turns import SteerResult, TurnEndParams, TurnOutcome
from pyglue.errors import ErrorCode, HiveError
from pyglue.names import OPERATOR
from pyglue.store import inboxes
from pyglue.store.database import Reader
from pyglue.store.messages import NewMessage


class Listening(Harness):
    """A harness that counts how often something was new."""

    def __init__(self, kit: Kit, agent: Any) -> None:
        self.news = 0
        super().__init__(kit, agent)

    def notify(self, *said: Any) -> None:
        """Hear what hived wants."""
        self.news += said[0] is NEWS

    async def steer(self, turn: int) -> SteerResult:
        """Ask what is new."""
        return await self.kit.broker.mailbox.steer(self.holder, turn)


async def bob(kit: Kit, **manifest: Any) -> Listening:
    return Listening(kit, await kit.agent("bob", **manifest))


async def post(kit: Kit, body: str, sender: str = OPERATOR, **more: Any) -> int:
    new = NewMessage(sender=sender, recipient="bob", body=body, **more)
    return (await kit.broker.post(new)).id


async def finish(
    it: Listening, turn: int, *heard: int, outcome: TurnOutcome = TurnOutcome.OK
) -> None:
    params = TurnEndParams(turn=turn, outcome=outcome, heard=heard)
    await it.kit.broker.mailbox.turn_end(it.holder, params)


async def progress(kit: Kit) -> dict[int, Progress | None]:
    def read(reader: Reader) -> dict[int, Progress | None]:
        found = inboxes.flow(reader, MessagesParams(limit=50, agent="bob"))
        return {one.id: one.progress for one in found.messages}

    return await kit.store.read(read)


def bodies(found: Any) -> list[str]:
    return [message.body for message in found]


async def test_it_is_given_what_the_operator_sent_and_what_is_urgent(kit: Kit) -> None:
    it = await bob(kit)
    turn = await it.begin(())
    await post(kit, "small talk", "carol")
    await post(kit, "the operator's")
    await post(kit, "urgent", "dave", priority=Priority.HIGH)
    await post(kit, "more talk", "carol")
    last = await post(kit, "a notification", "system")
    assert it.news == 5
    found = await it.steer(turn)
    assert bodies(found.messages) == ["urgent", "the operator's"], "best first"
    assert (found.waiting, found.senders) == (3, ("carol", "system"))
    assert found.newest == last
    assert (await it.steer(turn)).messages == ()


async def test_it_is_acknowledged_with_the_turn_if_the_model_was_given_it(
    kit: Kit,
) -> None:
    it = await bob(kit)
    turn = await it.begin(())
    heard, lost = await post(kit, "heard"), await post(kit, "lost")
    at_boundary = Progress(stage=Stage.DELIVERED, turn=turn, at_boundary=True)
    queued = Progress(stage=Stage.QUEUED)
    assert await progress(kit) == {heard: queued, lost: queued}
    await it.steer(turn)
    assert await progress(kit) == {heard: at_boundary, lost: at_boundary}
    await finish(it, turn, heard)
    done = Progress(stage=Stage.DONE, turn=turn, at_boundary=True)
    assert await progress(kit) == {heard: done, lost: queued}
    (again,) = await it.recv()
    assert (again.id, again.redelivered) == (lost, True)


async def test_a_turn_that_fails_gives_all_of_it_back(kit: Kit) -> None:
    it = await bob(kit)
    turn = await it.begin(())
    heard, lost = await post(kit, "heard"), await post(kit, "lost")
    await it.steer(turn)
    await finish(it, turn, heard, outcome=TurnOutcome.FAILED)
    first = await it.recv()
    assert [one.id for one in first] == [heard], "it may be why, and goes alone"
    turn = await it.begin(first)
    (again,) = (await it.steer(turn)).messages
    assert (again.id, again.redelivered) == (lost, True)
    await finish(it, turn, lost)
    assert await it.recv() == ()


async def test_what_goes_alone_joins_no_turn(kit: Kit) -> None:
    it = await bob(kit)
    await post(kit, "bad")
    await post(kit, "good")
    turn = await it.begin(await it.recv())
    await finish(it, turn, outcome=TurnOutcome.FAILED)
    turn = await it.begin(await it.recv())
    found = await it.steer(turn)
    assert (found.messages, found.waiting) == ((), 0)


async def test_a_lost_connection_gives_it_back(kit: Kit) -> None:
    it = await bob(kit)
    turn = await it.begin(())
    await post(kit, "hear this")
    await it.steer(turn)
    it.close()
    it.back()
    assert bodies(await it.recv()) == ["hear this"]


async def test_an_answer_says_which_message_it_answers(kit: Kit) -> None:
    it = await bob(kit)
    turn = await it.begin(())
    asked = await post(kit, "how far?")
    await it.steer(turn)
    new = NewMessage(sender="bob", recipient=OPERATOR, body="half", reply_to=asked)
    answer = (await kit.broker.post(new)).id
    found = await progress(kit)
    shown = found[asked]
    assert shown is not None
    assert shown.answer == answer
    assert found[answer] is None, "nobody delivers to the operator"


async def test_what_waits_when_a_turn_begins_is_news(kit: Kit) -> None:
    it = await bob(kit)
    await it.begin(())
    assert it.news == 0
    await it.end(1, TurnOutcome.OK)
    await post(kit, "between turns")
    assert it.news == 0
    await it.begin(())
    assert it.news == 1


async def test_a_turn_may_be_left_in_peace(kit: Kit) -> None:
    it = await bob(kit, delivery="turn")
    turn = await it.begin(())
    await post(kit, "hear this")
    assert it.news == 0
    assert kit.broker.delivery.reaches("bob") is None
    with pytest.raises(HiveError, match="stay queued for its next turn") as refused:
        await it.steer(turn)
    assert refused.value.code is ErrorCode.CONFLICT


async def test_only_the_running_turn_is_given_anything(kit: Kit) -> None:
    it = await bob(kit)
    turn = await it.begin(())
    assert kit.broker.delivery.reaches("bob") == turn
    with pytest.raises(HiveError, match=f"Turn {turn + 1} is not running"):
        await it.steer(turn + 1)
    await finish(it, turn)
    assert kit.broker.delivery.reaches("bob") is None
    with pytest.raises(HiveError, match="is not running"):
        await it.steer(turn)


async def test_a_paused_agent_is_given_nothing(kit: Kit) -> None:
    it = await bob(kit)
    turn = await it.begin(())
    await post(kit, "hear this")
    put(it.agent, on_hold="Its files are too large.", cut_off=True)
    with pytest.raises(HiveError, match="too large") as refused:
        await it.steer(turn)
    assert refused.value.code is ErrorCode.PAUSED
