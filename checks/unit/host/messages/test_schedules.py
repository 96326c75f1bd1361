"""Schedules: sent when due, once when late, and never after removal."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from checks.kits.host.counts import uncounted
from checks.kits.host.store import Kit, open_kit, put
from checks.kits.manifest.smallest import MANIFEST
from checks.kits.patience import PATIENCE_S
from pyglue.api.messages import Message, MessageKind, RecvParams
from pyglue.api.turns import TurnEndParams, TurnOutcome
from pyglue.clock import calendar_times
from pyglue.config import Quotas
from pyglue.host.core.agent import Agent, Receiver
from pyglue.host.core.counts import Counts
from pyglue.host.messages.schedules import Schedules, views
from pyglue.manifest.record import PinnedRecord
from pyglue.store import metrics
from pyglue.store import schedules as rows
from pyglue.store.schedules import Schedule

BERLIN: Final = calendar_times.named_zone("Europe/Berlin")
DAILY: Final = {"at": "08:00", "message": "Report."}
HOUR: Final = 3600.0


def clock(kit: Kit, *, least_s: float = 300.0) -> Schedules:
    made = Schedules(
        store=kit.store,
        registry=kit.registry,
        broker=kit.broker,
        zone=BERLIN,
        least_s=least_s,
        count=Counts(store=kit.store).add,
    )
    made.connect(kit.transitions)
    return made


@asynccontextmanager
async def running(kit: Kit, **options: Any) -> AsyncIterator[Schedules]:
    ours = clock(kit, **options)
    task = asyncio.create_task(ours.watch())
    try:
        yield ours
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def stored(kit: Kit) -> dict[str, Schedule]:
    found = await kit.store.write(rows.every)
    return {f"{row.agent}/{row.name}": row for row in found}


async def counted(kit: Kit, **wanted: float) -> None:
    """Wait until the outcomes of alice's schedules were counted so."""
    wanted = {f"schedule:{outcome}": count for outcome, count in wanted.items()}
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = await kit.store.read(metrics.totals)
            if {one.key: one.total for one in found} == wanted:
                return
            await asyncio.sleep(0)


async def until(kit: Kit, ready: Any) -> dict[str, Schedule]:
    async with asyncio.timeout(PATIENCE_S):
        while not ready(found := await stored(kit)):
            await asyncio.sleep(0)
        return found


async def make_due(kit: Kit, ours: Schedules, ago: float = 1.0) -> float:
    at = time.time() - ago
    await kit.store.write(
        lambda tx: tx.execute("UPDATE schedule SET due_at = ?, try_at = ?", at, at)
    )
    ours._changed.set()
    return at


async def take(kit: Kit, name: str, wait: int = 120) -> list[Message]:
    params = RecvParams(wait_seconds=wait, max=32)
    got = await kit.broker.mailbox.recv(Receiver(agent=kit.registry.get(name)), params)
    return list(got.messages)


async def handle(kit: Kit, name: str) -> Message:
    """Wait for a message, and finish a turn over it."""
    holder = Receiver(agent=kit.registry.get(name))
    params = RecvParams(wait_seconds=120, max=32)
    (message,) = (await kit.broker.mailbox.recv(holder, params)).messages
    turn = await kit.broker.mailbox.turn_start(holder, "haiku")
    ended = TurnEndParams(turn=turn, outcome=TurnOutcome.OK)
    await kit.broker.mailbox.turn_end(holder, ended)
    return message


def deploy(kit: Kit, agent: Agent, **manifest: Any) -> None:
    """Let another record be the deployed one, as a deploy ends."""
    put(agent, record=PinnedRecord({**MANIFEST, **manifest}, None))
    for listener in kit.transitions._listeners:
        listener(agent)


async def test_it_is_due_at_its_next_time_in_its_zone(kit: Kit) -> None:
    schedule = {"a": DAILY, "b": {"at": "08:00 UTC", "message": "x"}}
    await kit.agent("alice", schedule=schedule)
    async with running(kit):
        found = await until(kit, lambda found: len(found) == 2)
    for key, zone in (("alice/a", BERLIN), ("alice/b", UTC)):
        due_at = found[key].due_at
        assert due_at is not None and time.time() < due_at <= time.time() + 25 * HOUR
        assert datetime.fromtimestamp(due_at, zone).strftime("%H:%M:%S") == "08:00:00"
    assert found["alice/a"].zone == "Europe/Berlin"


async def test_the_message_says_which_schedule_and_for_when(kit: Kit) -> None:
    await kit.agent("alice", schedule={"morning": DAILY})
    async with running(kit) as ours:
        await until(kit, bool)
        at = await make_due(kit, ours)
        message = await handle(kit, "alice")
        assert (message.sender, message.kind) == ("system", MessageKind.EVENT)
        when = calendar_times.written(at, BERLIN)
        assert message.body == f"Schedule morning (08:00), for {when}:\nReport."
        found = await until(kit, lambda it: it["alice/morning"].message == message.id)
    due_at = found["alice/morning"].due_at
    assert due_at is not None and due_at > time.time()


async def test_what_was_missed_is_sent_once_and_says_so(tmp_path: Path) -> None:
    kit = await open_kit(tmp_path)
    await kit.agent("alice", schedule={"x": {"at": "*:00", "message": "Go."}})
    async with running(kit) as ours:
        await until(kit, bool)
        await make_due(kit, ours, ago=-HOUR)
    hours = time.time() // HOUR * HOUR
    missed = hours - 3 * HOUR
    await kit.store.write(
        lambda tx: tx.execute(
            "UPDATE schedule SET due_at = ?, try_at = ?", missed, missed
        )
    )
    await kit.store.close()
    kit = await open_kit(tmp_path)  # hived was down meanwhile
    await kit.agent("alice", schedule={"x": {"at": "*:00", "message": "Go."}})
    async with running(kit):
        message = await handle(kit, "alice")
        when = calendar_times.written(missed, BERLIN)
        assert message.body == (
            f"Schedule x (*:00), for {when}. It could not be sent then, nor 3 times "
            "since; this message replaces them all:\nGo."
        )
        found = await until(kit, lambda it: it["alice/x"].message is not None)
        assert (found["alice/x"].due_at or 0) > time.time()
        assert await take(kit, "alice", wait=0) == []
    await kit.store.close()


async def test_none_is_sent_while_the_last_is_unread(kit: Kit) -> None:
    await kit.agent("alice", schedule={"x": DAILY})
    async with running(kit) as ours:
        await until(kit, bool)
        await make_due(kit, ours)
        first = await until(kit, lambda it: it["alice/x"].message is not None)
        await make_due(kit, ours)
        again = await until(kit, lambda it: (it["alice/x"].due_at or 0) > time.time())
        assert again["alice/x"].message == first["alice/x"].message
        assert len(await take(kit, "alice")) == 1
        await make_due(kit, ours)  # it is held now, but not handled
        await until(kit, lambda it: (it["alice/x"].due_at or 0) > time.time())
        assert await take(kit, "alice", wait=0) == []
        await counted(kit, sent=1, skipped=2)


async def test_a_deploy_changes_adds_and_removes(kit: Kit) -> None:
    alice = await kit.agent("alice", schedule={"x": DAILY, "y": DAILY})
    async with running(kit):
        before = await until(kit, lambda found: len(found) == 2)
        late = {"at": "23:30", "message": "Report."}
        deploy(kit, alice, schedule={"x": late, "y": {**DAILY, "message": "z"}})
        found = await until(kit, lambda it: it["alice/x"].at == "23:30")
        assert found["alice/x"].due_at != before["alice/x"].due_at
        assert found["alice/y"] == before["alice/y"]  # only what it says changed
        deploy(kit, alice)
        assert await until(kit, lambda found: not found) == {}
        deploy(kit, alice, schedule={"z": DAILY})
        await until(kit, lambda found: set(found) == {"alice/z"})
        kit.registry.forget("alice")
        await until(kit, lambda found: not found)


async def test_a_new_zone_counts_anew(kit: Kit) -> None:
    await kit.agent("alice", schedule={"x": DAILY})
    async with running(kit):
        before = await until(kit, bool)
    ours = Schedules(
        count=uncounted,
        store=kit.store,
        registry=kit.registry,
        broker=kit.broker,
        zone=calendar_times.named_zone("America/New_York"),
        least_s=60,
    )
    watching = asyncio.create_task(ours.watch())
    found = await until(kit, lambda it: it["alice/x"].zone == "America/New_York")
    assert found["alice/x"].due_at != before["alice/x"].due_at
    watching.cancel()


async def test_a_clock_that_was_set_back_is_noticed(kit: Kit) -> None:
    await kit.agent("alice", schedule={"x": DAILY})
    async with running(kit) as ours:
        await until(kit, bool)
        far = time.time() + 400 * 24 * HOUR  # as set by a clock that was wrong
        await kit.store.write(
            lambda tx: tx.execute(
                "UPDATE schedule SET set_at = ?, due_at = ?, try_at = ?", far, far, far
            )
        )
        ours._changed.set()
        found = await until(kit, lambda it: it["alice/x"].set_at < far)
        assert (found["alice/x"].due_at or 0) < time.time() + 25 * HOUR


async def test_no_two_come_sooner_than_the_limit(kit: Kit) -> None:
    """One that was approved before the operator set a longer one."""
    await kit.agent("alice", schedule={"x": {"at": "*:0/5", "message": "Go."}})
    async with running(kit, least_s=2 * HOUR) as ours:
        await until(kit, bool)
        at = await make_due(kit, ours)
        found = await until(kit, lambda it: it["alice/x"].message is not None)
        assert (found["alice/x"].due_at or 0) >= at + 2 * HOUR - 1


async def test_a_used_up_quota_lets_it_wait(kit: Kit) -> None:
    kit.broker.delivery.quotas = Quotas(messages_mib_per_day=1)
    await kit.agent("alice", schedule={"x": {"at": "08:00", "message": "x" * 8000}})
    alice = kit.registry.get("alice")
    await kit.store.write(
        lambda tx: kit.broker.delivery.charge(tx, alice.name, 1024 * 1024 - 4000)
    )
    async with running(kit) as ours:
        await until(kit, bool)
        at = await make_due(kit, ours)
        found = await until(kit, lambda it: (it["alice/x"].try_at or 0) > time.time())
        assert found["alice/x"].due_at == at and found["alice/x"].message is None
        assert await take(kit, "alice", wait=0) == []
        await counted(kit, failed=1)
        kit.broker.delivery.quotas = Quotas()
        await kit.store.write(lambda tx: tx.execute("UPDATE schedule SET try_at = 1.0"))
        ours._changed.set()
        assert "Schedule x" in (await handle(kit, "alice")).body


async def test_what_never_comes_again_is_kept_quiet(kit: Kit) -> None:
    once = {"at": "2020-01-01 08:00", "message": "x"}
    alice = await kit.agent("alice", schedule={"x": once, "y": DAILY})
    async with running(kit):
        found = await until(kit, lambda found: len(found) == 2)
        assert found["alice/x"].due_at is None and found["alice/x"].try_at is None
    assert alice.record is not None
    gone, daily = views(alice.record.typed, BERLIN)
    assert (gone.name, gone.next_at, gone.times) == ("x", (), ())
    assert len(daily.times) == 3 and all(" 08:00 CE" in one for one in daily.times)


async def test_the_operator_sees_the_next_three_times(kit: Kit) -> None:
    alice = await kit.agent(
        "alice", schedule={"x": {"at": "Fri 17:00", "message": "m"}}
    )
    assert alice.record is not None
    now = datetime(2026, 10, 20, tzinfo=UTC).timestamp()
    (one,) = views(alice.record.typed, BERLIN, now=now)
    assert one.times == (
        "Fri 2026-10-23 17:00 CEST",
        "Fri 2026-10-30 17:00 CET",
        "Fri 2026-11-06 17:00 CET",
    )
    assert [calendar_times.written(at, BERLIN) for at in one.next_at] == [*one.times]
