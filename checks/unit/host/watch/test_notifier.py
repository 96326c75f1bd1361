"""Notifications outside: what is worth one, quiet hours, and failures tried again."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from checks.kits.api.events import raw
from checks.kits.host.counts import uncounted, unsaid
from checks.kits.host.push import Device
from checks.kits.host.store import open_kit
from checks.kits.patience import PATIENCE_S
from pyglue import strict_json
from pyglue.api import events
from pyglue.api.approvals import ApprovalState
from pyglue.api.common import AgentState, NoParams
from pyglue.api.event_values import NotificationKind
from pyglue.api.events import Event
from pyglue.api.messages import MessageKind
from pyglue.api.notify import (
    Asked,
    NotifyEvent,
    PushOutcome,
    SendNotification,
    SendPush,
    SentNotification,
    SentPush,
)
from pyglue.clock import calendar_times
from pyglue.config import HiveConfig, NotifyConfig, WebConfig, WebPushConfig
from pyglue.errors import HiveError
from pyglue.host.push.browsers import Browsers
from pyglue.host.watch import notifier as module
from pyglue.host.watch.notification_rules import quiet_until
from pyglue.host.watch.notifier import Notifier

BERLIN: Final = calendar_times.named_zone("Europe/Berlin")


def notifier(room: Path, *, url: str | None = None, **notify: Any) -> Notifier:
    config = HiveConfig(
        state_dir=str(room),
        runtime_dir=str(room),
        web=WebConfig(external_url=url),
        notify=NotifyConfig(url_file="/urls", **notify),
    )
    return Notifier(count=uncounted, changed=unsaid, config=config, zone=BERLIN)


def event(data: events.Data, agent: str | None = "alice") -> Event:
    fields = msgspec.to_builtins(data)
    return Event(seq=1, at=0, kind=data.KIND, agent=agent, data=raw(fields))


def state(name: str) -> events.AgentStateChanged:
    secret = "a secret: hunter2"
    return events.AgentStateChanged(state=AgentState(name), since_at=0, detail=secret)


def approval_changed(state: ApprovalState) -> events.ApprovalChanged:
    return events.ApprovalChanged(approval=3, state=state, commit="", manifest="")


def message(to: str, number: int = 7) -> events.MessageSent:
    kind = MessageKind.MESSAGE
    return events.MessageSent(id=number, sender="alice", recipient=to, kind=kind)


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


@asynccontextmanager
async def watching(ours: Notifier) -> AsyncIterator[None]:
    task = asyncio.create_task(ours.watch())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


WORTH: Final = [
    (
        events.ApprovalCreated(approval=3),
        *("approvals", "Approval 3 of alice is pending", "/approvals/3"),
    ),
    (
        events.QuestionAsked(question=4, to="operator"),
        *("questions", "alice asks question 4", "/"),
    ),
    (message("operator"), "messages", "Message 7 from alice", "/messages/7"),
    (
        approval_changed(ApprovalState.FAILED),
        "trouble",
        "The deployment of approval 3 of alice failed",
        "/approvals/3",
    ),
    (state("failed"), "trouble", "alice has failed", "/agents/alice"),
    (state("needs_login"), "trouble", "alice needs a login", "/agents/alice"),
    (state("over_budget"), "budgets", "alice has used up its budget", "/agents/alice"),
    (
        events.Notice(what=NotificationKind.CRASHED, text="hunter2"),
        *("trouble", "alice has crashed", "/agents/alice"),
    ),
]


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
        events.Notice(what=NotificationKind.STARTED, text="x"),
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
    ours._said = dict.fromkeys(ours._said, time.time() - module._SAME_S)
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


# --- browsers -------------------------------------------------------------------------


class Counter:
    """Stands in for hive-notify between hived and browsers, as ``Desk`` does."""

    def __init__(self) -> None:
        self.asked: list[SendPush | SendNotification] = []
        self.pushes: dict[str, list[SentPush]] = {}
        """Answers by endpoint; the last one stays."""
        self.came = asyncio.Event()

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.closing(writer):
            asked = strict_json.read(await reader.readline(), Asked)
            self.asked.append(asked)
            answer: SentPush | SentNotification = SentNotification()
            if isinstance(asked, SendPush):
                answers = self.pushes.get(asked.endpoint, [SENT])
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
            writer.write(msgspec.json.encode(answer) + b"\n")
            await writer.drain()
            self.came.set()

    def to(self, endpoint: str) -> list[SendPush]:
        pushed = [one for one in self.asked if isinstance(one, SendPush)]
        return [one for one in pushed if one.endpoint == endpoint]

    async def until(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.asked) < count:
                self.came.clear()
                await self.came.wait()


SENT: Final = SentPush(outcome=PushOutcome.SENT)
FAILED: Final = SentPush(outcome=PushOutcome.FAILED, problem="push.example: no")
PHONE: Final = "https://push.example/phone"
DESK: Final = "https://push.example/desk"


@dataclass
class Pushing:
    """A notifier with two browsers, and what hive-notify is asked."""

    ours: Notifier
    counter: Counter
    devices: dict[str, Device]

    def notes(self, endpoint: str) -> list[dict[str, str]]:
        asked = self.counter.to(endpoint)
        return [self.devices[endpoint].note(one.body) for one in asked]

    async def settled(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.ours.pending:
                await asyncio.sleep(0)


@asynccontextmanager
async def pushing(room: Path, *, urls: bool = False) -> AsyncIterator[Pushing]:
    kit = await open_kit(room)
    config = HiveConfig(
        state_dir=str(room),
        runtime_dir=str(room),
        notify=NotifyConfig(
            url_file="/urls" if urls else None, web_push=WebPushConfig(enable=True)
        ),
    )
    browsers = Browsers(config=config, audit=kit.audit, changed=unsaid)
    ours = Notifier(
        count=uncounted, changed=unsaid, config=config, zone=BERLIN, browsers=browsers
    )
    devices = {PHONE: Device(), DESK: Device(auth=b"d" * 16)}
    for endpoint, device in devices.items():
        await browsers.subscribe(device.subscription(endpoint), "uid 0")
    counter = Counter()
    path = config.layout.notify_socket
    path.parent.mkdir(exist_ok=True)
    server = await asyncio.start_unix_server(counter.serve, path)
    try:
        async with watching(ours):
            yield Pushing(ours, counter, devices)
    finally:
        server.close()
        await kit.store.close()


@pytest.mark.parametrize(("data", "kind", "title", "path"), WORTH)
async def test_browsers_get_the_same_notifications(
    tmp_path: Path, data: events.Data, kind: str, title: str, path: str
) -> None:
    async with pushing(tmp_path) as it:
        it.ours.heard(event(data))
        await it.settled()
        for endpoint in (PHONE, DESK):
            (note,) = it.notes(endpoint)
            assert (note["title"], note["path"]) == (title, path)
            assert "hunter2" not in str(note)
        assert len(it.counter.asked) == 2  # there are no places


async def test_only_the_browser_that_failed_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AGAIN_S", (0.01,))
    async with pushing(tmp_path, urls=True) as it:
        it.counter.pushes = {PHONE: [FAILED, FAILED, SENT]}
        it.ours.heard(event(events.ApprovalCreated(approval=3)))
        await it.settled()
        assert (len(it.notes(PHONE)), len(it.notes(DESK))) == (3, 1)
        placed = [one for one in it.counter.asked if isinstance(one, SendNotification)]
        assert len(placed) == 1
        assert it.ours.problem is None


async def test_each_change_of_what_is_shown_is_told(tmp_path: Path) -> None:
    async with pushing(tmp_path) as it:
        seen: list[tuple[int, bool]] = []
        ours = it.ours
        ours.changed = lambda: seen.append((ours.pending, ours.problem is not None))
        it.counter.pushes = {PHONE: [FAILED, SENT]}
        ours.heard(event(events.ApprovalCreated(approval=3)))
        async with asyncio.timeout(PATIENCE_S):
            while ours.problem is None:
                await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert seen == [(1, False), (1, True)]  # queued, and tried in vain
        ours._queue[0].due_at = time.time()
        ours._changed.set()
        await it.settled()
        assert seen[-1] == (0, False)


async def test_a_service_is_left_alone_as_long_as_it_says(tmp_path: Path) -> None:
    async with pushing(tmp_path) as it:
        later = msgspec.structs.replace(FAILED, again_s=1234.0)
        it.counter.pushes = {PHONE: [later]}
        it.ours.heard(event(events.ApprovalCreated(approval=3)))
        async with asyncio.timeout(PATIENCE_S):
            while it.ours.problem is None:
                await asyncio.sleep(0)
        assert it.ours.problem == "push.example: no"
        (one,) = it.ours._queue
        assert one.due_at > time.time() + 1200


async def test_what_is_refused_is_said_and_not_tried_again(tmp_path: Path) -> None:
    async with pushing(tmp_path) as it:
        said = "push.example answered with status 403"
        refused = SentPush(outcome=PushOutcome.REFUSED, problem=said)
        gone = SentPush(outcome=PushOutcome.GONE, problem="subscription unknown")
        it.counter.pushes = {PHONE: [refused], DESK: [gone]}
        it.ours.heard(event(events.ApprovalCreated(approval=3)))
        await it.settled()
        assert len(it.counter.asked) == 2
        (view,) = (await it.ours.overview(NoParams())).browsers
        assert view.problem == said
        assert it.ours.problem is None


async def test_quiet_hours_and_what_is_the_same_hold_for_browsers_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pushing(tmp_path) as it:
        end = time.time() + 0.2
        monkeypatch.setattr(module, "quiet_until", lambda *_: end)
        for number in (1, 2, 3, 4, 4):
            it.ours.heard(event(message("operator", number)))
        monkeypatch.undo()
        assert it.counter.asked == []
        await it.counter.until(2)
        (note,) = it.notes(PHONE)
        assert note["title"].startswith("4 notifications since ")


async def test_a_test_comes_at_once_and_only_where_something_is_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pushing(tmp_path) as it:
        monkeypatch.setattr(module, "quiet_until", lambda *_: time.time() + 3600)
        await it.ours.test(NoParams())
        await it.settled()
        (note,) = it.notes(PHONE)
        assert note["path"] == "/notifications"
    off = Notifier(
        count=uncounted,
        changed=unsaid,
        config=HiveConfig(state_dir=str(tmp_path), runtime_dir=str(tmp_path)),
        zone=UTC,
    )
    with pytest.raises(HiveError, match="Notifications are off"):
        await off.test(NoParams())
    with pytest.raises(HiveError, match="Web Push is off"):
        off.known_browsers()
    assert (await off.overview(NoParams())).web_push is False
