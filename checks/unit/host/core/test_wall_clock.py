"""Waiting for a wall-clock time notices when the clock is set."""

import asyncio
import datetime
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import pytest

from checks.kits.api.events import raw
from checks.kits.host.counts import uncounted, unsaid
from checks.kits.host.messages import WAIT
from checks.kits.host.store import Kit
from checks.kits.patience import PATIENCE_S
from pyglue.api import events
from pyglue.api.agent import RemindParams
from pyglue.api.events import Event
from pyglue.api.logins import LoginParams
from pyglue.api.relay import ReserveParams
from pyglue.clock import wall_clock
from pyglue.config import HiveConfig, NotifyConfig
from pyglue.errors import HiveError
from pyglue.host.api.sessions import Sessions
from pyglue.host.control.background_tasks import BackgroundTasks
from pyglue.host.core.agent import Agent, Receiver
from pyglue.host.core.day_limits import Limit
from pyglue.host.messages.reminders import Reminders
from pyglue.host.messages.schedules import Schedules
from pyglue.host.watch.notifier import Notifier
from pyglue.store import agents as agent_rows
from pyglue.store import schedules as schedule_rows
from pyglue.store import usage

T = TypeVar("T")
DAY_S: Final = 86400.0
SetClock = Callable[[float], None]


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """Set the clock forward (or back) by seconds, as an administrator may."""
    real, ahead = time.time, 0.0

    def forward(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds

    monkeypatch.setattr(time, "time", lambda: real() + ahead)
    monkeypatch.setattr(wall_clock, "TICK_S", 0.02)
    return forward


async def ended(work: Awaitable[T]) -> T:
    """Wait for what comes soon, or never."""
    async with asyncio.timeout(PATIENCE_S):
        return await work


async def begun(work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
    """Start a task and let it wait."""
    task = asyncio.create_task(work)
    done, _ = await asyncio.wait({task}, timeout=0.1)
    assert not done
    return task


async def test_a_moment_comes_when_the_clock_is_set_to_it(set_clock: SetClock) -> None:
    never = asyncio.Event()
    task = await begun(wall_clock.reach(time.time() + DAY_S, never, seen=time.time()))
    set_clock(DAY_S)
    await ended(task)


async def test_a_moment_is_put_off_when_the_clock_is_set_back(
    set_clock: SetClock,
) -> None:
    changed = asyncio.Event()
    moment = time.time() + DAY_S
    set_clock(-7 * DAY_S)
    task = await begun(wall_clock.reach(moment, changed, seen=time.time()))
    set_clock(7 * DAY_S)
    assert not (await asyncio.wait({task}, timeout=0.1))[0]
    changed.set()
    await ended(task)


async def test_without_a_moment_only_a_change_ends_the_wait() -> None:
    changed = asyncio.Event()
    task = await begun(wall_clock.reach(None, changed, seen=time.time()))
    changed.set()
    await ended(task)


async def test_what_is_done_now_and_then_is_done_when_the_clock_is_set(
    kit: Kit, set_clock: SetClock
) -> None:
    done: asyncio.Queue[None] = asyncio.Queue()

    async def work() -> None:
        done.put_nowait(None)

    tasks = BackgroundTasks(broker=kit.broker)
    tasks.every("expiry", 600.0, work)
    await ended(done.get())
    set_clock(8 * DAY_S)
    await ended(done.get())
    set_clock(-8 * DAY_S)  # it is not put off by what the clock was set back
    await tasks.close()


async def test_a_clock_set_back_puts_nothing_off(set_clock: SetClock) -> None:
    task = asyncio.create_task(wall_clock.elapse(0.2))
    await asyncio.sleep(0)
    set_clock(-DAY_S)
    await ended(task)


async def test_a_reminder_comes_when_the_clock_is_set_past_it(
    kit: Kit, set_clock: SetClock
) -> None:
    alice = await kit.agent("alice")
    reminders = Reminders(store=kit.store, registry=kit.registry, broker=kit.broker)
    await reminders.remind(alice, RemindParams(text="tomorrow", in_seconds=86400))
    task = await begun(reminders.watch())
    set_clock(2 * DAY_S)
    (message,) = (
        await ended(kit.broker.mailbox.recv(Receiver(agent=alice), WAIT))
    ).messages
    assert "tomorrow" in message.body
    task.cancel()


async def test_a_wait_ends_when_the_clock_is_set_back(set_clock: SetClock) -> None:
    """Whoever waited works out anew for when; also if it was set just before."""
    now, never = time.time(), asyncio.Event()
    task = await begun(wall_clock.reach(now + DAY_S, never, seen=now))
    set_clock(-DAY_S)
    await ended(task)
    await ended(wall_clock.reach(now + DAY_S, never, seen=now))


async def test_a_pause_ends_with_a_change_or_the_clock(set_clock: SetClock) -> None:
    changed = asyncio.Event()
    for end in (changed.set, lambda: set_clock(DAY_S)):
        changed.clear()
        task = await begun(wall_clock.elapse(DAY_S, changed.wait))
        end()
        await ended(task)


# --- what follows the clock -----------------------------------------------------------


async def parked(kit: Kit, limit: str, **limits: Any) -> Agent:
    """Return an agent that is parked at its limit, with what it used."""
    none = ("costPerDayUsd", "cpuQuota", "memoryMax", "tokensPerDay", "turnsPerHour")
    alice = await kit.agent("alice", limits=dict.fromkeys(none) | limits)
    params = ReserveParams(agent="alice", model="claude-haiku-4-5", cost_usd=2.0)
    await kit.store.write(lambda tx: usage.reserve(tx, params, None))
    await kit.store.write(lambda tx: agent_rows.start_turn(tx, "alice", "haiku"))
    with pytest.raises(HiveError) as refused:
        await kit.store.write(lambda tx: kit.budgets.check(tx, alice))
    assert refused.value.details["limit"] == limit
    until = float(str(refused.value.details["until_at"]))
    await kit.budgets.reached(alice, Limit(limit), until)
    return alice


async def goes_on(kit: Kit, alice: Agent) -> None:
    """Wait until hived lets it."""
    async with asyncio.timeout(PATIENCE_S):
        while kit.controls.blocked(alice) is not None:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("step", [DAY_S, -DAY_S, -400 * DAY_S])
@pytest.mark.parametrize(
    ("limit", "limits"),
    [("cost", {"costPerDayUsd": 1.0}), ("turns", {"turnsPerHour": 1})],
)
async def test_a_budget_is_that_of_the_day_that_it_is_by_now(
    kit: Kit, set_clock: SetClock, step: float, limit: str, limits: dict[str, Any]
) -> None:
    """After a step into another day what was used is not this day's."""
    alice = await parked(kit, limit, **limits)
    task = await begun(kit.budgets.watch())
    set_clock(step)
    await goes_on(kit, alice)
    await kit.store.write(lambda tx: kit.budgets.check(tx, alice))
    task.cancel()


async def test_a_wait_for_the_provider_is_over_when_the_machine_slept(
    kit: Kit, set_clock: SetClock
) -> None:
    alice = await kit.agent("alice")
    kit.transitions.provider_answered(alice, 429, wall_clock.moment(3600))
    set_clock(-DAY_S)
    found = kit.controls.blocked(alice)
    assert found is not None
    assert found.until_at == pytest.approx(time.time() + 3600, abs=60)
    set_clock(2 * DAY_S)
    assert kit.controls.blocked(alice) is None


async def test_a_login_lasts_no_longer_by_a_clock_that_is_set(
    kit: Kit, set_clock: SetClock, tmp_path: Path
) -> None:
    config = HiveConfig(state_dir=str(tmp_path), runtime_dir=str(tmp_path))
    sessions = Sessions(store=kit.store, config=config, audit=kit.audit)

    async def link() -> LoginParams:
        return LoginParams(code=(await sessions.mint_code("test")).code)

    for step in (DAY_S, -DAY_S):
        unused, session = await link(), (await sessions.login(await link())).session
        assert sessions.alive(session)
        set_clock(step)
        assert not sessions.alive(session)
        with pytest.raises(HiveError, match="has expired"):
            await sessions.login(unused)
        await sessions.load()
        assert not sessions.alive(session), "nor after a restart"
    session = (await sessions.login(await link())).session
    set_clock(-60)  # as the time service may
    assert sessions.alive(session)
    await sessions.load()
    assert sessions.alive(session)


async def test_a_schedule_follows_the_clock(kit: Kit, set_clock: SetClock) -> None:
    daily = {"at": "*-*-* 08:00:00", "message": "Good morning."}
    alice = await kit.agent("alice", schedule={"x": daily})
    schedules = Schedules(
        count=uncounted,
        store=kit.store,
        registry=kit.registry,
        broker=kit.broker,
        zone=datetime.UTC,
        least_s=300.0,
    )

    async def due_within(least: float, most: float) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                rows = await kit.store.write(schedule_rows.every)
                left = [(row.due_at or 0.0) - time.time() for row in rows]
                if left and least < left[0] <= most:
                    return
                await asyncio.sleep(0.01)

    task = await begun(schedules.watch())
    await due_within(0, DAY_S)
    set_clock(DAY_S)
    (message,) = (
        await ended(kit.broker.mailbox.recv(Receiver(agent=alice), WAIT))
    ).messages
    assert "Good morning." in message.body
    await due_within(0, 2 * DAY_S)
    set_clock(-400 * DAY_S)
    await due_within(0, DAY_S)
    task.cancel()


async def test_notifications_are_not_put_off(
    set_clock: SetClock, tmp_path: Path
) -> None:
    config = HiveConfig(
        state_dir=str(tmp_path),
        runtime_dir=str(tmp_path),
        notify=NotifyConfig(url_file="/somewhere"),
    )
    notifier = Notifier(
        count=uncounted, changed=unsaid, config=config, zone=datetime.UTC
    )
    asked = events.QuestionAsked(question=7, to="operator")
    data = raw(msgspec.to_builtins(asked))
    event = Event(seq=1, at=0, agent="alice", kind=asked.KIND, data=data)
    notifier.heard(event)
    task = await begun(notifier.watch())  # nobody takes it: it is tried again later
    assert notifier.pending == 1
    set_clock(-400 * DAY_S)
    async with asyncio.timeout(PATIENCE_S):
        while notifier._queue[0].at > time.time():
            await asyncio.sleep(0.01)
    assert notifier._queue[0].due_at < time.time() + DAY_S
    notifier.heard(event)
    assert notifier.pending == 2, "what was said in the future is said again"
    task.cancel()
