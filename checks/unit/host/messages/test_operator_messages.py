"""What the operator sends: to one agent, to all, and as an answer."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from checks.kits.host.harness import Harness
from checks.kits.host.messages import send
from checks.kits.host.store import Kit, open_kit
from pyglue.api.inbox import InboxFilter, InboxParams, OperatorSendParams
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.messages.operator_messages import OperatorMessages
from pyglue.names import EVERYONE, OPERATOR
from pyglue.store import inboxes, messages


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    opened = await open_kit(tmp_path)
    for name in ("alice", "bob"):
        await opened.agent(name)
    yield opened
    await opened.store.close()


def operator(kit: Kit) -> OperatorMessages:
    return OperatorMessages(store=kit.store, broker=kit.broker)


async def test_the_operators_own_inbox_is_no_recipient(kit: Kit) -> None:
    with pytest.raises(HiveError) as refused:
        await operator(kit).send(OperatorSendParams(to=OPERATOR, body="me"))
    assert refused.value.code is ErrorCode.BAD_REQUEST


async def test_a_running_turn_that_gets_the_message_is_named(kit: Kit) -> None:
    params = OperatorSendParams(to="bob", body="hi")
    assert (await operator(kit).send(params)).turn is None
    turn = await Harness(kit, kit.registry.get("bob")).begin(())
    assert (await operator(kit).send(params)).turn == turn


async def test_all_agents_get_a_broadcast(kit: Kit) -> None:
    sent = await operator(kit).send(OperatorSendParams(to=EVERYONE, body="hi"))
    assert sent.missed == ()
    for name in ("alice", "bob"):
        found = await kit.store.read(lambda it, to=name: messages.peek(it, to, 9))
        assert [one.sender for one in found] == [OPERATOR]


async def test_a_message_that_is_answered_is_done(kit: Kit) -> None:
    number = await send(kit, "alice", OPERATOR, "well?")
    answer = OperatorSendParams(to="alice", body="yes", reply_to=number)
    await operator(kit).send(answer)
    asked = InboxParams(show=InboxFilter.DONE)
    done = await kit.store.read(lambda it: inboxes.inbox(it, OPERATOR, asked))
    assert [one.id for one in done.messages] == [number]
