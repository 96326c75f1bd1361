"""Background tasks: a failed write ends none of them, and is reported once."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from checks.kits.host.store import Kit, open_kit
from checks.kits.patience import PATIENCE_S
from pyglue.api.agent import RemindParams
from pyglue.api.questions import AskParams
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.control.background_tasks import BackgroundTasks
from pyglue.host.messages import questions
from pyglue.host.messages.reminders import Reminders
from pyglue.names import OPERATOR
from pyglue.store import messages
from pyglue.store.database import Store

FULL = HiveError(ErrorCode.DISK_FULL, "The disk is full.")


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    opened = await open_kit(tmp_path)
    await opened.agent("alice")
    yield opened
    await opened.store.close()


@pytest.fixture
async def background_tasks(kit: Kit) -> AsyncIterator[BackgroundTasks]:
    found = BackgroundTasks(broker=kit.broker, backoff_s=(0.0, 0.01), well_s=0.05)
    yield found
    await found.close()


async def inbox(kit: Kit, who: str) -> list[str]:
    found = await kit.store.read(lambda reader: messages.peek(reader, who, 100))
    return [message.body for message in found]


async def until(look: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await look():
            await asyncio.sleep(0.005)


class EachFailsOnce:
    """A store of which every statement that is written fails the first time."""

    def __init__(self, store: Store) -> None:
        self._real = store.write
        self.failed: set[str] = set()

    async def write(self, fn: Callable[..., object], **more: Any) -> object:
        name = getattr(fn, "__qualname__", repr(fn))
        if name not in self.failed:
            self.failed.add(name)
            raise FULL
        return await self._real(fn, **more)


async def test_reminders_go_on_after_each_write_failed_once(
    kit: Kit, background_tasks: BackgroundTasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    reminders = Reminders(store=kit.store, registry=kit.registry, broker=kit.broker)
    alice = kit.registry.get("alice")
    await reminders.remind(alice, RemindParams(text="wake up", in_seconds=1))
    failing = EachFailsOnce(kit.store)
    monkeypatch.setattr(kit.store, "write", failing.write)
    background_tasks.start("reminders", reminders.watch)

    async def came() -> bool:
        return any("wake up" in body for body in await inbox(kit, "alice"))

    monkeypatch.setattr("pyglue.host.messages.reminders._RETRY_S", 0.0)
    await until(came)
    assert len(failing.failed) >= 3


async def test_questions_expire_after_each_write_failed_once(
    kit: Kit, background_tasks: BackgroundTasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = kit.registry.get("alice")
    asked = AskParams(to=OPERATOR, question="Now?", ttl_seconds=1)
    await kit.questions.ask(alice, asked)
    failing = EachFailsOnce(kit.store)
    monkeypatch.setattr(kit.store, "write", failing.write)
    monkeypatch.setattr(questions, "_AGAIN_S", 0.01)
    background_tasks.start("questions", kit.questions.watch)

    async def expired() -> bool:
        return any(event.kind == "question.answered" for event in kit.events)

    await until(expired)
    assert failing.failed


async def test_what_fails_is_shown_and_told_once_until_it_is_well(
    kit: Kit, background_tasks: BackgroundTasks
) -> None:
    works = asyncio.Event()
    tried: list[float] = []

    async def work() -> None:
        tried.append(time.monotonic())
        if not works.is_set():
            raise FULL
        await asyncio.Event().wait()

    background_tasks.start("retention", work)

    async def often() -> bool:
        return len(tried) > 3

    await until(often)
    (warning,) = background_tasks.warnings
    assert "(retention) failed and is being retried. The disk is full." in warning
    works.set()

    async def well() -> bool:
        return not background_tasks.warnings

    await until(well)
    assert await inbox(kit, OPERATOR) == [warning]


async def test_an_error_of_any_kind_is_survived_and_not_quoted(
    kit: Kit, background_tasks: BackgroundTasks
) -> None:
    async def work() -> None:
        raise ZeroDivisionError("a secret")

    background_tasks.start("budgets", work)

    async def shown() -> bool:
        return bool(background_tasks.warnings)

    await until(shown)
    assert "a secret" not in background_tasks.warnings[0]


async def test_what_is_done_every_so_often_is_done_again(
    background_tasks: BackgroundTasks,
) -> None:
    done: list[None] = []

    async def work() -> None:
        done.append(None)
        if len(done) == 2:
            raise FULL

    background_tasks.every("expiry", 0.0, work)

    async def often() -> bool:
        return len(done) > 5

    await until(often)


async def test_closing_ends_them(kit: Kit) -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    background_tasks = BackgroundTasks(broker=kit.broker)
    background_tasks.start("one", work)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await background_tasks.close()
    assert ended.is_set()
