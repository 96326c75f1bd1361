"""Who waits for a moment of the wall clock notices when the clock is set."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest

from checks.kits.host.messages import WAIT
from checks.kits.host.store import Kit, open_kit
from checks.kits.patience import PATIENCE_S
from pyglue.api.agent import RemindParams
from pyglue.host.control.background_tasks import BackgroundTasks
from pyglue.host.core import wall_clock
from pyglue.host.core.agent import Holder
from pyglue.host.messages.reminders import Reminders

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


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    opened = await open_kit(tmp_path)
    yield opened
    await opened.store.close()


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
    task = await begun(wall_clock.reach(time.time() + DAY_S, never))
    set_clock(DAY_S)
    await ended(task)


async def test_a_moment_is_put_off_when_the_clock_is_set_back(
    set_clock: SetClock,
) -> None:
    changed = asyncio.Event()
    moment = time.time() + DAY_S
    set_clock(-7 * DAY_S)
    task = await begun(wall_clock.reach(moment, changed))
    set_clock(7 * DAY_S)
    assert not (await asyncio.wait({task}, timeout=0.1))[0]
    changed.set()
    await ended(task)


async def test_without_a_moment_only_a_change_ends_the_wait() -> None:
    changed = asyncio.Event()
    task = await begun(wall_clock.reach(None, changed))
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
    (message,) = (await ended(kit.broker.mailbox.recv(Holder(alice), WAIT))).messages
    assert "tomorrow" in message.body
    task.cancel()
