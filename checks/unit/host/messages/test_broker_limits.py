"""Limits on messages: recipients, rates, sizes and hops, on a real store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from checks.kits.host.messages import NOW, end, holder, send
from checks.kits.host.store import Kit, open_kit
from pyglue.api.messages import (
    BODY_LIMIT,
    SendParams,
)
from pyglue.api.turns import TurnOutcome
from pyglue.config import MessageLimits
from pyglue.errors import ErrorCode, HiveError
from pyglue.store import messages
from pyglue.store.messages import NewMessage


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    opened = await open_kit(tmp_path)
    await opened.agent("manager")
    await opened.agent("alice")
    await opened.agent("bob")
    yield opened
    await opened.store.close()


@pytest.mark.parametrize(
    ("allowed", "to", "refused"),
    [
        (None, "bob", False),
        (["bob"], "bob", False),
        (["bob"], "operator", True),
        ([], "bob", True),
        ([], "operator", True),
        ([], "manager", False),
    ],
)
async def test_recipients_are_those_of_the_pinned_manifest(
    kit: Kit, allowed: list[str] | None, to: str, *, refused: bool
) -> None:
    await kit.agent("alice", allowedRecipients=allowed)
    if not refused:
        await send(kit, "alice", to)
        return
    with pytest.raises(HiveError) as caught:
        await send(kit, "alice", to)
    assert caught.value.code is ErrorCode.RECIPIENT_NOT_ALLOWED
    count = await kit.store.read(lambda reader: messages.waiting(reader, to))
    assert count == 0


async def test_the_manager_may_always_send(kit: Kit) -> None:
    await kit.agent("manager", allowedRecipients=[])
    await send(kit, "manager", "alice")


async def test_unknown_and_own_recipients_are_refused(kit: Kit) -> None:
    for to, code in (("nobody", ErrorCode.NOT_FOUND), ("alice", "bad_request")):
        with pytest.raises(HiveError) as caught:
            await send(kit, "alice", to)
        assert caught.value.code == code
        if to == "nobody":
            assert "Recipients: operator, alice, bob, manager." in caught.value.message


async def test_a_body_is_limited_in_bytes(kit: Kit) -> None:
    await send(kit, "alice", "bob", "x" * BODY_LIMIT)
    with pytest.raises(HiveError) as caught:
        await send(kit, "alice", "bob", "é" * (BODY_LIMIT // 2 + 1))
    assert caught.value.code is ErrorCode.TOO_LARGE


async def test_floods_are_refused(tmp_path: Path) -> None:
    limits = MessageLimits(per_pair_per_minute=2, per_agent_per_minute=3, inbox_max=3)
    kit = await open_kit(tmp_path, limits)
    for name in ("manager", "alice", "bob"):
        await kit.agent(name)
    for to in ("bob", "bob", "manager"):
        await send(kit, "alice", to)
    for to in ("bob", "operator"):
        with pytest.raises(HiveError) as caught:
            await send(kit, "alice", to)
        assert caught.value.code is ErrorCode.RATE_LIMITED
        assert caught.value.details["retry_after_s"] > 0
    await send(kit, "manager", "bob")
    with pytest.raises(HiveError) as full:
        await send(kit, "manager", "bob")
    assert full.value.code is ErrorCode.TOO_MANY
    await kit.store.close()


async def test_hops_grow_from_turn_to_turn_and_are_limited(tmp_path: Path) -> None:
    kit = await open_kit(tmp_path, MessageLimits(hops_max=3))
    await kit.agent("a")
    await kit.agent("b")
    await kit.broker.post(NewMessage(sender="operator", recipient="a", body="go"))
    names = ["a", "b"]
    with pytest.raises(HiveError) as caught:
        for round_ in range(10):
            mine, other = names[round_ % 2], names[(round_ + 1) % 2]
            who = holder(kit, mine)
            await kit.broker.mailbox.recv(who, NOW)
            turn = await kit.broker.mailbox.turn_start(who, "haiku")
            params = SendParams(to=other, body="again")
            sent = await kit.broker.send(kit.registry.get(mine), params)
            assert sent.hop == round_ + 1
            await end(kit, who, turn, TurnOutcome.OK)
    assert caught.value.code is ErrorCode.RATE_LIMITED
    assert round_ == 3
    await kit.store.close()


async def test_the_manager_writes_to_all_others(kit: Kit) -> None:
    await send(kit, "manager", "all", "stop what you do")
    for name in ("alice", "bob"):
        (taken,) = (await kit.broker.mailbox.recv(holder(kit, name), NOW)).messages
        assert (taken.sender, taken.body) == ("manager", "stop what you do")
    assert not (await kit.broker.mailbox.recv(holder(kit, "manager"), NOW)).messages


async def test_only_the_manager_writes_to_all(kit: Kit) -> None:
    with pytest.raises(HiveError, match="Only the manager") as refused:
        await send(kit, "alice", "all")
    assert refused.value.code is ErrorCode.RECIPIENT_NOT_ALLOWED


async def test_a_full_inbox_does_not_keep_the_others_from_a_broadcast(
    tmp_path: Path,
) -> None:
    kit = await open_kit(tmp_path, MessageLimits(inbox_max=1))
    for name in ("manager", "alice", "bob"):
        await kit.agent(name)
    await send(kit, "manager", "alice")
    new = NewMessage(sender="operator", recipient="all", body="hi")
    _, missed = await kit.broker.broadcast(new)
    assert missed == ("alice",)
    with pytest.raises(HiveError, match="Every inbox is full"):
        await kit.broker.broadcast(new)
    assert len((await kit.broker.mailbox.recv(holder(kit, "bob"), NOW)).messages) == 1
    await kit.store.close()


async def test_a_limit_of_nothing_lets_nothing_through(tmp_path: Path) -> None:
    kit = await open_kit(tmp_path, MessageLimits(per_pair_per_minute=0))
    try:
        for name in ("alice", "bob"):
            await kit.agent(name)
        with pytest.raises(HiveError) as caught:
            await send(kit, "alice", "bob")
        assert caught.value.code is ErrorCode.RATE_LIMITED
    finally:
        await kit.store.close()
