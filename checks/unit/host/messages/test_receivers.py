"""Who receives an agent's messages: its harness, or another client while it is stopped.

And how many at once: never more than fit one answer.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from checks.kits.host.calls import Calls
from checks.kits.host.messages import NOW, WAIT, holder, parks, send
from checks.kits.host.store import Kit, open_kit
from checks.kits.patience import PATIENCE_S
from pyglue.api.agent import RECV
from pyglue.api.messages import BODY_LIMIT, RecvParams
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.api.agent import agent_handlers
from pyglue.host.core.agent import Receiver
from pyglue.jsonrpc.wire import result_line
from pyglue.limits import CLIENT_RPC

PEEK = RecvParams(max=32, peek=True)


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    opened = await open_kit(tmp_path)
    for name in ("alice", "bob"):
        await opened.agent(name)
    yield opened
    await opened.store.close()


class Line:
    """A connection as far as hived's side of an agent uses one."""

    def on_close(self, _callback: object) -> None:
        """It is never lost."""

    def notify(self, *_: object) -> None:
        """Nobody reads it."""


def client(kit: Kit, *, harness: bool) -> Calls:
    """Connect to bob's socket, as his harness or as another client."""
    bob = kit.registry.get("bob")
    connection: Any = Line()
    if harness:
        kit.transitions.harness_connected(bob, connection, None)
    return Calls(agent_handlers(kit, bob, connection, harness=harness))


async def test_a_running_agents_harness_alone_receives(kit: Kit) -> None:
    harness, other = client(kit, harness=True), client(kit, harness=False)
    await send(kit, "alice", "bob", "for the harness")
    for params in (NOW, RecvParams(wait_seconds=1)):
        with pytest.raises(HiveError, match=r"peek.*hive stop bob") as refused:
            await other.call(RECV, params)
        assert refused.value.code is ErrorCode.CONFLICT
    (seen,) = (await other.call(RECV, PEEK)).messages
    (got,) = (await harness.call(RECV, NOW)).messages
    assert got.body == seen.body == "for the harness"


async def test_another_client_receives_while_the_agent_is_stopped(kit: Kit) -> None:
    other = client(kit, harness=False)
    await send(kit, "alice", "bob", "for whoever is there")
    (got,) = (await other.call(RECV, NOW)).messages
    assert got.body == "for whoever is there"


async def test_a_harness_that_comes_ends_the_wait_of_another_client(kit: Kit) -> None:
    waiting = await parks(kit, holder(kit, "bob"))
    harness = Receiver(agent=kit.registry.get("bob"), harness=True)
    taking = asyncio.create_task(kit.broker.mailbox.recv(harness, WAIT))
    async with asyncio.timeout(PATIENCE_S):
        assert (await waiting).messages == ()
        await send(kit, "alice", "bob", "for the harness")
        (got,) = (await taking).messages
    assert got.body == "for the harness"


@pytest.mark.parametrize("first", [False, True])
async def test_no_other_wait_is_ended(kit: Kit, first: bool) -> None:
    bob = kit.registry.get("bob")
    waiting = await parks(kit, Receiver(agent=bob, harness=first))
    with pytest.raises(HiveError, match="already waiting") as refused:
        again = Receiver(agent=bob, harness=first)
        await kit.broker.mailbox.recv(again, WAIT)
    assert refused.value.code is ErrorCode.CONFLICT
    await send(kit, "alice", "bob")
    assert len((await waiting).messages) == 1


async def test_an_inbox_of_large_messages_comes_in_parts_that_fit(kit: Kit) -> None:
    body = "\x01" * BODY_LIMIT  # six bytes each in JSON
    sent = [await send(kit, "alice", "bob", body) for _ in range(20)]
    bob = Receiver(agent=kit.registry.get("bob"), harness=True)
    peeked = await kit.broker.mailbox.recv(bob, PEEK)
    assert len(result_line(1, peeked)) < CLIENT_RPC.line
    got: list[int] = []
    while len(got) < len(sent):
        answer = await kit.broker.mailbox.recv(bob, NOW)
        assert 1 < len(answer.messages) < len(sent)
        assert len(result_line(1, answer)) < CLIENT_RPC.line
        got += [message.id for message in answer.messages]
    assert got == sent
