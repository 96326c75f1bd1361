"""External notifications: which events, quiet hours, and retries."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from checks.kits.host.counts import uncounted, unsaid
from checks.kits.host.notifications import (
    BERLIN,
    WORTH,
    approval_changed,
    event,
    message,
    state,
    watching,
)
from checks.kits.patience import PATIENCE_S
from pyglue import strict_json
from pyglue.api import events
from pyglue.api.approvals import ApprovalState
from pyglue.api.event_values import NotificationKind
from pyglue.api.notify import (
    NotifyEvent,
    SendNotification,
    SentNotification,
)
from pyglue.config import HiveConfig, NotifyConfig, WebConfig
from pyglue.host.watch import notifier as module
from pyglue.host.watch.notification_rules import quiet_until
from pyglue.host.watch.notifier import Notifier


def notifier(room: Path, *, url: str | None = None, **notify: Any) -> Notifier:
    config = HiveConfig(
        state_dir=str(room),
        runtime_dir=str(room),
        web=WebConfig(external_url=url),
        notify=NotifyConfig(url_file="/urls", **notify),
    )
    return Notifier(count=uncounted, changed=unsaid, config=config, zone=BERLIN)


class Desk:
    """Stands in for hive-notify; answers what it is told to."""

    def __init__(self) -> None:
        self.asked: list[SendNotification] = []
        self.answers: list[SentNotification] = []
        self.came = asyncio.Event()

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.closing(writer):
            self.asked.append(
                strict_json.read(await reader.readline(), SendNotification)
            )
            found = self.answers.pop(0) if self.answers else SentNotification()
            writer.write(msgspec.json.encode(found) + b"\n")
            await writer.drain()
            self.came.set()

    async def until(self, count: int) -> list[str]:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.asked) < count:
                self.came.clear()
                await self.came.wait()
        return [one.title for one in self.asked]


@asynccontextmanager
async def desk(ours: Notifier) -> AsyncIterator[Desk]:
    made = Desk()
    path = ours.config.layout.notify_socket
    path.parent.mkdir(exist_ok=True)
    server = await asyncio.start_unix_server(made.serve, path)
    try:
        yield made
    finally:
        server.close()


@pytest.mark.parametrize(("data", "kind", "title", "path"), WORTH)
async def test_what_is_worth_a_notification(
    tmp_path: Path, data: events.Data, kind: str, title: str, path: str
) -> None:
    ours = notifier(tmp_path, url="https://hive.example.org")
    async with desk(ours) as there, watching(ours):
        ours.heard(event(data))
        await there.until(1)
    assert there.asked == [
        SendNotification(title=title, link=f"https://hive.example.org{path}")
    ]
    others = tuple(one for one in NotifyEvent if one != kind)
    quiet = notifier(tmp_path, events=others)
    quiet.heard(event(data))
    assert quiet.pending == 0


@pytest.mark.parametrize(
    "data",
    [
        state("idle"),
        state("thinking"),
        message("bob"),
        events.QuestionAsked(question=1, to="bob"),
        events.NotificationPublished(what=NotificationKind.STARTED, text="x"),
        approval_changed(ApprovalState.DENIED),
    ],
)
def test_what_is_not(tmp_path: Path, data: events.Data) -> None:
    ours = notifier(tmp_path)
    ours.heard(event(data))
    assert ours.pending == 0


def test_without_a_file_nothing_is_kept(tmp_path: Path) -> None:
    config = HiveConfig(state_dir=str(tmp_path), runtime_dir=str(tmp_path))
    ours = Notifier(count=uncounted, changed=unsaid, config=config, zone=UTC)
    ours.heard(event(events.ApprovalCreated(approval=3)))
    assert (ours.is_on, ours.pending) == (False, 0)


async def test_the_secret_name_on_loopback_is_told_to_nobody(tmp_path: Path) -> None:
    for url in (None, "http://127.0.0.1:7000", "http://x.localhost:7000"):
        ours = notifier(tmp_path, url=url)
        async with desk(ours) as there, watching(ours):
            ours.heard(event(events.ApprovalCreated(approval=3)))
            await there.until(1)
            assert there.asked[0].link is None


async def test_the_same_is_sent_once_in_a_while(tmp_path: Path) -> None:
    ours = notifier(tmp_path)
    for _ in range(5):
        ours.heard(event(state("failed")))
        ours.heard(event(state("failed"), agent="bob"))
    assert ours.pending == 2
    ours._sent_at = dict.fromkeys(ours._sent_at, time.time() - module._SAME_S)
    ours.heard(event(state("failed")))
    assert ours.pending == 3


def test_a_full_queue_loses_its_oldest(tmp_path: Path) -> None:
    ours = notifier(tmp_path)
    for number in range(module._QUEUE_MAX + 5):
        ours.heard(event(message("operator", number)))
    assert ours.pending == module._QUEUE_MAX
    assert ours._queue[0].note.title == "Message 5 from alice"


async def test_a_failure_is_seen_and_tried_again_only_where_it_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AGAIN_S", (0.01,))
    ours = notifier(tmp_path)
    async with desk(ours) as there, watching(ours):
        there.answers = [
            SentNotification(failed=(0, 2), problem="ntfy did not accept it"),
            SentNotification(failed=(2,), problem="ntfy did not accept it"),
        ]
        ours.heard(event(events.ApprovalCreated(approval=3)))
        await there.until(2)
        assert ours.problem == "ntfy did not accept it"
        await there.until(3)
        assert [one.only for one in there.asked] == [None, (0, 2), (2,)]
        async with asyncio.timeout(PATIENCE_S):
            while ours.pending:
                await asyncio.sleep(0)
        assert ours.problem is None


async def test_it_waits_for_hive_notify(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AGAIN_S", (0.01,))
    ours = notifier(tmp_path)
    async with watching(ours):
        ours.heard(event(events.ApprovalCreated(approval=3)))
        async with asyncio.timeout(PATIENCE_S):
            while ours.problem is None:
                await asyncio.sleep(0.005)
        assert ours.problem == "hive-notify is not running"
        counted = asyncio.Event()
        ours.count = lambda *what: counted.set() if what[1] == "notify:sent" else None
        async with desk(ours) as there:
            assert await there.until(1) == ["Approval 3 of alice is pending"]
            await asyncio.wait_for(counted.wait(), PATIENCE_S)


async def test_it_gives_up_after_a_day(tmp_path: Path) -> None:
    ours, counted = notifier(tmp_path), []
    ours.count = lambda *what: counted.append(what)
    ours.heard(event(events.ApprovalCreated(approval=3)))
    (one,) = ours._queue
    await ours._try(one)
    assert counted == []
    assert ours.pending == 1 and one.due_at > time.time() + 5
    one.at -= module._GIVE_UP_S
    await ours._try(one)
    assert ours.pending == 0
    assert counted == [("hive", "notify:failed")]


@pytest.mark.parametrize(
    ("hours", "now", "until"),
    [
        ("22:00-07:00", "2026-11-29 23:30", "2026-11-30 07:00"),
        ("22:00-07:00", "2026-11-29 06:59", "2026-11-29 07:00"),
        ("22:00-07:00", "2026-11-29 07:00", None),
        ("22:00-07:00", "2026-11-29 21:59", None),
        ("12:00-13:30", "2026-11-29 12:00", "2026-11-29 13:30"),
        ("12:00-13:30", "2026-11-29 13:30", None),
        ("22:00-07:00", "2026-10-24 23:00", "2026-10-25 07:00"),  # an hour more
        (None, "2026-11-29 03:00", None),
    ],
)
def test_quiet_hours(hours: str | None, now: str, until: str | None) -> None:
    def at(text: str) -> float:
        return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()

    expected = None if until is None else at(until)
    assert quiet_until(hours, at(now), BERLIN) == expected


async def test_what_quiet_hours_held_back_comes_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = notifier(tmp_path)
    end = time.time() + 0.2
    monkeypatch.setattr(module, "quiet_until", lambda *_: end)
    for number in range(5):
        ours.heard(event(message("operator", number)))
    monkeypatch.undo()
    async with desk(ours) as there, watching(ours):
        (title,) = await there.until(1)
        assert title.startswith("5 notifications since ")
        async with asyncio.timeout(PATIENCE_S):
            while ours.pending:
                await asyncio.sleep(0)
