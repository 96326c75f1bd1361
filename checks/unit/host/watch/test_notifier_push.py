"""Notifications to browsers: each by itself, tried again, and left alone when asked."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Final

import msgspec
import pytest

from checks.kits.host.counts import uncounted, unsaid
from checks.kits.host.notifications import BERLIN, WORTH, event, message, watching
from checks.kits.host.push import Device
from checks.kits.host.store import open_kit
from checks.kits.patience import PATIENCE_S
from pyglue import strict_json
from pyglue.api import events
from pyglue.api.common import NoParams
from pyglue.api.notify import (
    Asked,
    PushOutcome,
    SendNotification,
    SendPush,
    SentNotification,
    SentPush,
)
from pyglue.config import HiveConfig, NotifyConfig, WebPushConfig
from pyglue.errors import HiveError
from pyglue.host.push.browsers import Browsers
from pyglue.host.watch import notifier as module
from pyglue.host.watch.notifier import Notifier


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
