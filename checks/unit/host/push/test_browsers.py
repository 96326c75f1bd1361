"""Subscribed browsers: stored, listed, limited and removed."""

import stat
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from checks.kits.host.push import Device, claims
from checks.kits.host.store import Kit, open_kit
from pyglue.api.events import NotificationsChanged
from pyglue.api.notify import PushOutcome, SentPush
from pyglue.api.push import Note, PushRemoveParams
from pyglue.config import HiveConfig, NotifyConfig, WebConfig, WebPushConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.push.browsers import MOST, Browsers

NOTE = Note(title="Approval 3 of alice is pending", path="/approvals/3", tag="a")
GOOD = "https://push.example/send/hunter2"


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    (tmp_path / "state").mkdir()
    opened = await open_kit(tmp_path / "state")
    yield opened
    await opened.store.close()


def browsers(kit: Kit, room: Path, *, url: str | None = None, **push: Any) -> Browsers:
    config = HiveConfig(
        state_dir=str(room / "state"),
        runtime_dir=str(room / "state" / "run"),
        web=WebConfig(external_url=url),
        notify=NotifyConfig(web_push=WebPushConfig(enable=True, **push)),
    )
    return Browsers(
        config=config,
        audit=kit.audit,
        changed=partial(kit.store.emit, None, NotificationsChanged()),
    )


def kept(room: Path) -> Path:
    return room / "state" / "web-push.json"


async def test_one_is_kept_listed_and_removed(kit: Kit, tmp_path: Path) -> None:
    ours, device, before = browsers(kit, tmp_path), Device(), time.time()
    made = await ours.subscribe(device.subscription(GOOD), "session ab")
    again = browsers(kit, tmp_path)
    assert again.key == ours.key
    (one,) = again.views()
    assert (one.id, one.browser, one.service, one.by) == (
        *(made.id, "Firefox on Linux", "push.example", "session ab"),
    )
    assert before <= one.since_at <= time.time()
    assert (one.sent_at, one.problem) == (None, None)
    assert "hunter2" not in str(again.views())
    await again.remove(PushRemoveParams(id=made.id), "uid 0")
    assert browsers(kit, tmp_path).views() == ()
    assert browsers(kit, tmp_path).key == ours.key
    with pytest.raises(HiveError, match=f"No browser {made.id}") as caught:
        await again.remove(PushRemoveParams(id=made.id), "uid 0")
    assert caught.value.code is ErrorCode.NOT_FOUND
    assert kit.audited() == [
        ("session ab", "push_subscribed", None),
        ("uid 0", "push_removed", None),
    ]
    assert "hunter2" not in (tmp_path / "state" / "audit.jsonl").read_text()


async def test_only_hived_reads_the_key_and_the_endpoints(
    kit: Kit, tmp_path: Path
) -> None:
    ours = browsers(kit, tmp_path)
    assert stat.S_IMODE(kept(tmp_path).stat().st_mode) == 0o600
    await ours.subscribe(Device().subscription(GOOD), "uid 0")
    assert stat.S_IMODE(kept(tmp_path).stat().st_mode) == 0o600


async def test_a_number_is_not_used_again(kit: Kit, tmp_path: Path) -> None:
    ours = browsers(kit, tmp_path)
    first = await ours.subscribe(Device().subscription(GOOD), "uid 0")
    await ours.remove(PushRemoveParams(id=first.id), "uid 0")
    second = await browsers(kit, tmp_path).subscribe(
        Device().subscription(GOOD), "uid 0"
    )
    assert second.id > first.id


async def test_the_same_browser_is_one(kit: Kit, tmp_path: Path) -> None:
    ours = browsers(kit, tmp_path)
    first = await ours.subscribe(Device().subscription(GOOD), "session a")
    device = Device(auth=b"b" * 16)
    second = await ours.subscribe(
        device.subscription("https://PUSH.example:443/send/hunter2"), "session b"
    )
    assert first == second and len(ours.views()) == 1
    asked = ours.sealed(second.id, NOTE)
    assert asked is not None and device.note(asked.body)["tag"] == "a"


async def test_a_subscription_takes_the_place_of_the_one_before(
    kit: Kit, tmp_path: Path
) -> None:
    ours = browsers(kit, tmp_path)
    first = await ours.subscribe(Device().subscription(GOOD), "session a")
    device = Device(auth=b"b" * 16)
    renewed = msgspec.structs.replace(
        device.subscription(f"{GOOD}/2"),
        replaces="https://PUSH.example:443/send/hunter2",
    )
    assert await ours.subscribe(renewed, "session b") == first
    (one,) = ours.views()
    assert one.by == "session b"
    asked = ours.sealed(first.id, NOTE)
    assert asked is not None and asked.endpoint == f"{GOOD}/2"
    assert device.note(asked.body)["tag"] == "a"
    strange = msgspec.structs.replace(renewed, replaces=f"{GOOD}/unknown")
    assert await ours.subscribe(strange, "session b") == first  # by its endpoint
    wrong = msgspec.structs.replace(renewed, replaces="http://push.example/")
    with pytest.raises(HiveError) as caught:
        await ours.subscribe(wrong, "session b")
    assert caught.value.code is ErrorCode.BAD_REQUEST


async def test_there_is_a_limit(kit: Kit, tmp_path: Path) -> None:
    ours = browsers(kit, tmp_path)
    for number in range(MOST):
        await ours.subscribe(Device().subscription(f"{GOOD}/{number}"), "uid 0")
    with pytest.raises(HiveError, match="remove one") as caught:
        await ours.subscribe(Device().subscription(GOOD), "uid 0")
    assert caught.value.code is ErrorCode.TOO_MANY
    await ours.subscribe(Device().subscription(f"{GOOD}/0"), "uid 0")  # known
    assert len(ours.views()) == MOST


@pytest.mark.parametrize(
    ("endpoint", "more", "code"),
    [
        ("http://push.example/x", {}, ErrorCode.BAD_REQUEST),
        ("https://user@push.example/x", {}, ErrorCode.BAD_REQUEST),
        ("https://10.0.0.7/x", {}, ErrorCode.FORBIDDEN),
        ("https://[::1]/x", {}, ErrorCode.FORBIDDEN),
        (GOOD, {"p256dh": "AAAA"}, ErrorCode.BAD_REQUEST),
        (GOOD, {"auth": "AAAA"}, ErrorCode.BAD_REQUEST),
    ],
)
async def test_what_is_refused_leaves_nothing(
    kit: Kit, tmp_path: Path, endpoint: str, more: dict[str, str], code: ErrorCode
) -> None:
    ours = browsers(kit, tmp_path)
    with pytest.raises(HiveError) as caught:
        await ours.subscribe(Device().subscription(endpoint, **more), "uid 0")
    assert caught.value.code is code
    assert ours.views() == () and kit.audited() == []
    allowed = browsers(kit, tmp_path, private_hosts=("10.0.0.7",))
    if "10.0.0.7" in endpoint:
        await allowed.subscribe(Device().subscription(endpoint), "uid 0")


async def test_what_a_browser_calls_itself_stays_text(kit: Kit, tmp_path: Path) -> None:
    ours = browsers(kit, tmp_path)
    name = "Evil\u202e\n\x1b[31m" + "x" * 250
    await ours.subscribe(Device().subscription(GOOD, browser=name), "uid 0")
    (one,) = ours.views()
    assert not {"\u202e", "\n", "\x1b"} & set(one.browser) and len(one.browser) < 300


async def test_what_is_sent_is_signed_and_sealed(kit: Kit, tmp_path: Path) -> None:
    for url, contact, sub in (
        ("https://hive.example.org", None, "https://hive.example.org"),
        ("https://hive.example.org", "mailto:me@x.example", "mailto:me@x.example"),
        (None, None, None),
    ):
        ours = browsers(kit, tmp_path, url=url, contact=contact)
        device = Device(auth=b"c" * 16)
        made = await ours.subscribe(device.subscription(GOOD), "uid 0")
        asked = ours.sealed(made.id, NOTE)
        assert asked is not None and asked.endpoint == GOOD
        assert NOTE.title.encode() not in asked.body
        assert device.note(asked.body) == {
            **{"title": NOTE.title, "path": NOTE.path, "tag": NOTE.tag}
        }
        said, key = claims(asked.authorization)
        assert (said["aud"], said.get("sub")) == ("https://push.example", sub)
        assert key == ours.key
    assert ours.sealed(99, NOTE) is None


async def test_one_that_is_gone_is_removed(kit: Kit, tmp_path: Path) -> None:
    ours = browsers(kit, tmp_path)
    made = await ours.subscribe(Device().subscription(GOOD), "uid 0")
    refused = SentPush(outcome=PushOutcome.REFUSED, problem="it said no")
    await ours.sent(made.id, refused)
    (one,) = ours.views()
    assert (one.problem, one.sent_at) == ("it said no", None)
    await ours.sent(made.id, SentPush(outcome=PushOutcome.SENT))
    (one,) = ours.views()
    assert one.problem is None and one.sent_at is not None
    gone = SentPush(outcome=PushOutcome.GONE, problem="it is gone")
    await ours.sent(made.id, gone)
    await ours.sent(made.id, gone)
    assert browsers(kit, tmp_path).views() == ours.views() == ()
    assert kit.audited()[-1] == ("hived", "push_removed", None)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "not json", '{"key":"AAAA","browsers":{}}', '{"key":"****"}'],
)
def test_a_damaged_file_is_said(kit: Kit, tmp_path: Path, text: str) -> None:
    kept(tmp_path).write_text(text)
    with pytest.raises(HiveError) as caught:
        browsers(kit, tmp_path)
    assert caught.value.code is ErrorCode.CONFIG_INVALID
    assert kept(tmp_path).read_text() == text


async def test_what_cannot_be_kept_is_not_there(kit: Kit, tmp_path: Path) -> None:
    ours = browsers(kit, tmp_path)
    kept(tmp_path).unlink()
    kept(tmp_path).mkdir()
    with pytest.raises(HiveError, match="Cannot store") as caught:
        await ours.subscribe(Device().subscription(GOOD), "uid 0")
    assert caught.value.code is ErrorCode.UNAVAILABLE
    assert ours.views() == () and kit.audited() == []
