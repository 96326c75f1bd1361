"""The hive's notifications: sent once, to everyone, and rate-limited."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from checks.kits.api.events import data
from checks.kits.host.store import Kit, open_kit, put, settled
from pyglue.api.common import AgentState
from pyglue.api.event_values import NotificationKind
from pyglue.api.events import NotificationPublished, ServerDown
from pyglue.api.messages import RecvParams
from pyglue.api.turns import StateParams
from pyglue.config import MessageLimits
from pyglue.host.core.audit import Audit
from pyglue.host.messages.notifications import (
    Notifications,
)
from pyglue.names import MANAGER, SYSTEM

CRASHED = NotificationKind.CRASHED


class Room:
    def __init__(self, kit: Kit, notifications: Notifications, log: Path) -> None:
        self.kit, self.notifications, self.log = kit, notifications, log

    async def mail(self) -> list[str]:
        """Return what waits for the manager, oldest first."""
        holder = await self.kit.holder(self.kit.registry.get(MANAGER))
        found = await self.kit.broker.mailbox.recv(
            holder, RecvParams(peek=True, max=32)
        )
        return [message.body for message in found.messages]

    def audited(self) -> list[str]:
        lines = self.log.read_text().splitlines()
        return [json.loads(line)["what"] for line in lines]


@pytest_asyncio.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    kit = await open_kit(tmp_path, MessageLimits(inbox_max=24))
    await kit.agent(MANAGER)
    await kit.agent("alice")
    log = tmp_path / "audit.jsonl"
    audit = Audit(log, tmp_path / "key")
    yield Room(kit, Notifications(store=kit.store, broker=kit.broker, audit=audit), log)
    audit.close()
    await kit.store.close()


async def test_a_notice_is_mail_audit_and_event(room: Room) -> None:
    assert await room.notifications.give(CRASHED, "alice", "alice crashed.", key="k")
    assert await room.mail() == ["alice crashed."]
    assert room.audited() == ["crashed"]
    (event,) = [
        event for event in room.kit.events if event.kind == NotificationPublished.KIND
    ]
    assert (event.agent, data(event)["what"]) == ("alice", "crashed")


async def test_a_key_is_told_once_over_a_restart_too(room: Room) -> None:
    assert await room.notifications.give(CRASHED, "alice", "one", key="k")
    assert not await room.notifications.give(CRASHED, "alice", "again", key="k")
    later = Notifications(
        store=room.kit.store, broker=room.kit.broker, audit=room.notifications.audit
    )
    await later.load()
    assert not await later.give(CRASHED, "alice", "again", key="k")
    assert await later.give(CRASHED, "alice", "two", key="l")
    assert await room.mail() == ["one", "two"]


async def test_what_the_manager_caused_is_not_mailed_to_it(room: Room) -> None:
    await room.notifications.give(
        NotificationKind.STOPPED, "alice", "x", to_manager=False
    )
    await room.notifications.add(NotificationKind.STOPPED, "alice", "more of it")
    assert await room.mail() == []
    assert room.audited() == ["stopped"]


async def test_a_flood_is_held_back_and_counted(room: Room) -> None:
    for number in range(13):
        assert await room.notifications.give(CRASHED, "alice", str(number))
        await room.notifications.add(CRASHED, "alice", "log")
    mail = await room.mail()
    assert mail == [text for number in range(10) for text in (str(number), "log")]
    assert len(room.audited()) == 13
    for given in room.notifications._given.values():
        given.clear()
    await room.notifications.give(CRASHED, "alice", "later")
    assert "3 more notifications" in (await room.mail())[-1]


async def test_the_manager_hears_of_its_own_loop_once(room: Room) -> None:
    for number in range(4):
        await room.notifications.give(CRASHED, MANAGER, f"manager {number}")
    assert await room.mail() == ["manager 0"]


async def test_outcomes_are_never_held_back(room: Room) -> None:
    for number in range(12):
        await room.notifications.give(NotificationKind.REBUILT, "alice", str(number))
    assert len(await room.mail()) == 12


async def test_a_full_inbox_fails_nothing(room: Room) -> None:
    for number in range(29):
        await room.notifications.give(NotificationKind.REBUILT, "alice", str(number))
    assert len(await room.mail()) == 24
    assert room.audited().count("not_told") == 5


async def told(room: Room) -> None:
    """Return when the notices of all events so far are written."""
    await room.kit.store.write(lambda _tx: None)
    await settled()
    await asyncio.gather(*room.notifications._tasks)


async def test_an_agent_that_needs_a_login_is_told_of_once(room: Room) -> None:
    room.kit.bus.listen(room.notifications.on_event)
    alice = room.kit.registry.get("alice")
    harness: Any = object()
    put(alice, harness=harness)
    for detail in (None, "still"):
        report = StateParams(state=AgentState.NEEDS_LOGIN, detail=detail)
        room.kit.transitions.state_reported(alice, report)
    await told(room)
    (text,) = await room.mail()
    assert "has to log it in" in text
    assert SYSTEM not in text


async def test_a_full_disk_is_told_of_once(room: Room) -> None:
    room.kit.bus.listen(room.notifications.on_event)
    alice = room.kit.registry.get("alice")
    harness: Any = object()
    put(alice, harness=harness)
    for detail in ("The disk is full\x1b[2J.", "The disk is full, still."):
        report = StateParams(state=AgentState.DISK_FULL, detail=detail)
        room.kit.transitions.state_reported(alice, report)
    await told(room)
    (text,) = await room.mail()
    assert text.startswith(
        "alice reports that it has no disk space left to work: “The disk is full"
    )
    assert "\x1b" not in text


async def test_a_server_that_is_not_up_is_told_of_once_a_day(room: Room) -> None:
    room.kit.bus.listen(room.notifications.on_event)
    event = ServerDown(name="db\x1b[2J", status="failed")
    for _ in range(3):
        await room.kit.store.write(lambda tx: tx.emit("alice", event))
    await told(room)
    (text,) = await room.mail()
    assert text.startswith("alice reports that its MCP server “db")
    assert "\x1b" not in text
    assert text.endswith("which continued without its tools: “failed”")


async def test_what_a_harness_only_says_does_not_fill_the_audit_log(
    room: Room,
) -> None:
    room.kit.bus.listen(room.notifications.on_event)
    for number in range(50):
        event = ServerDown(name=f"server {number}", status="failed")
        await room.kit.store.write(lambda tx, e=event: tx.emit("alice", e))
    await told(room)
    assert room.audited().count("server_down") == len(await room.mail()) == 10
