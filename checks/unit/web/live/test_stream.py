"""Live events for browsers and scripts: the contents of a stream, and its ends."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from checks.kits.web import hive as fake_hive
from checks.kits.web.app import Operator, make_app
from checks.kits.web.hive import FakeHive
from pyglue.web.live import hub as live
from pyglue.web.live import sse as sse_module
from pyglue.web.live.hub import Hub


@pytest.fixture
def hive(tmp_path: Path) -> Iterator[FakeHive]:
    with fake_hive.running(tmp_path / "operator.sock") as running:
        yield running


def sse(operator: Operator, path: str = "/api/events", **headers: str) -> Iterator[str]:
    answer = operator.get(path, **headers)
    assert answer.status_code == 200
    assert answer.content_type == "text/event-stream; charset=utf-8"
    for chunk in answer.response:
        yield from (chunk.decode() if isinstance(chunk, bytes) else chunk).split("\n")


def events_of(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


@pytest.fixture
def operator(hive: FakeHive) -> Iterator[Operator]:
    app = make_app(hive)
    yield Operator(hive, app, hive.new_session())
    app.extensions["hyperhive"].hub.close()


def test_a_kind_that_this_dashboard_does_not_know_reaches_pages(
    operator: Operator,
) -> None:
    seen = operator.hive.seq
    operator.hive.emit("agent.sneezed", "alice", loud=[True, {"n": 2**63}])
    found = events_of(sse(operator, f"/api/events?since={seen}"))
    event = next(one for one in found if one["type"] == "event")
    assert (event["kind"], event["data"]) == (
        "agent.sneezed",
        {"loud": [True, {"n": 2**63}]},
    )


@pytest.mark.parametrize("way", ["header", "query"])
def test_sse_replays_after_the_last_event(operator: Operator, way: str) -> None:
    seen = operator.hive.seq
    operator.hive.emit("message.sent", "alice", text="line\nline\u2028")
    newest = operator.hive.emit("turn.event", "alice")
    lines = (
        sse(operator, **{"Last-Event-ID": str(seen)})
        if way == "header"
        else sse(operator, f"/api/events?since={seen}")
    )
    events = (one for one in events_of(lines) if one["type"] == "event")
    assert next(events)["data"] == {"text": "line\nline\u2028"}
    assert next(events)["seq"] == newest


def test_sse_names_its_events_by_seq(operator: Operator) -> None:
    seen = operator.hive.seq
    newest = operator.hive.emit("message.sent")
    lines = sse(operator, f"/api/events?since={seen}")
    assert next(line for line in lines if line.startswith("id: ")) == f"id: {newest}"


@pytest.mark.parametrize(
    ("turns", "seen"), [("none", []), ("alice", ["alice"]), ("all", ["alice", "bob"])]
)
def test_turn_events_are_for_who_asks(
    operator: Operator, turns: str, seen: list[str]
) -> None:
    since = operator.hive.seq
    for name in ("alice", "bob"):
        operator.hive.emit("turn.event", name)
    operator.hive.emit("message.sent", "end")
    got = []
    for one in events_of(sse(operator, f"/api/events?since={since}&turns={turns}")):
        if one["type"] == "event":
            got.append(one["agent"])
        if one.get("agent") == "end":
            break
    assert got == [*seen, "end"]


@pytest.mark.parametrize("since", ["-1", "x", "1" * 5000, "\u0664", "1.5"])
@pytest.mark.parametrize("place", ["/api", "/agents/alice/api"])
def test_a_since_that_is_no_number_is_refused(
    operator: Operator, since: str, place: str
) -> None:
    answer = operator.get(f"{place}/events?since={since}")
    assert answer.status_code == 400
    assert answer.json is not None and "Invalid since" in answer.json["detail"]
    if since.isascii():
        header = {"Last-Event-ID": since}
        assert operator.get(f"{place}/events", **header).status_code == 400


def test_sse_for_another_site_is_refused(operator: Operator) -> None:
    answer = operator.get("/api/events", Origin="https://evil.example")
    assert answer.status_code == 403


def test_too_many_streams_are_asked_to_come_again(operator: Operator) -> None:
    hub: Hub = operator.app.extensions["hyperhive"].hub
    with contextlib.ExitStack() as stack:
        for _ in range(live.STREAMS_MAX):
            stack.enter_context(hub.listen(operator.session or "", None))
        answer = operator.get("/api/events")
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "2"
        assert answer.content_type == "application/problem+json"


def test_a_stream_ends_with_its_session(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse_module, "BEAT_S", 0.05)
    lines = sse(operator)
    assert next(events_of(lines))["type"] == "up"
    assert operator.session is not None
    operator.hive.end_session(operator.session)
    assert not list(events_of(lines))


def test_logging_out_ends_the_session_s_streams(operator: Operator) -> None:
    events = events_of(sse(operator))
    assert next(events)["type"] == "up"
    operator.post("/logout")
    assert not list(events)


def test_a_page_hears_that_a_silent_stream_lives(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse_module, "BEAT_S", 0.05)
    lines = sse(operator, "/api/events?turns=none")
    operator.hive.emit("turn.event", "alice")
    assert next(line for line in lines if line.startswith(": beat"))
