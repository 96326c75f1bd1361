"""One agent's HTTP API and its metrics: calls and refusals."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from checks.kits.web.app import URL, Operator, make_app
from checks.kits.web.hive import FakeHive
from pyglue.errors import ErrorCode, HiveError
from pyglue.web.live import agent_events
from pyglue.web.live.hub import Hub


def told(answer: TestResponse) -> Any:
    """Return the JSON of an answer."""
    return answer.json


# --- forms and reads ----------------------------------------------------------------


def test_the_state_is_the_agents_view(operator: Operator) -> None:
    answer = operator.get("/agents/alice/api/state")
    assert answer.status_code == 200 and told(answer)["name"] == "alice"


@pytest.mark.parametrize(
    ("action", "form", "method", "sent"),
    [
        ("model", {"model": " opus "}, "set_model", {"model": "opus"}),
        ("account", {"account": "team"}, "set_account", {"account": "team"}),
        ("account", {}, "set_account", {"account": None}),
        ("cancel", {}, "cancel", {"reason": ""}),
        ("cancel", {"reason": "enough"}, "cancel", {"reason": "enough"}),
        ("compact", {}, "compact", {}),
        ("new_session", {}, "new_session", {}),
    ],
)
def test_forms_call_hived(
    operator: Operator,
    action: str,
    form: dict[str, str],
    method: str,
    sent: dict[str, str | None],
) -> None:
    answer = operator.post(f"/agents/alice/api/{action}", form)
    assert answer.status_code == 200, answer.text
    (params,) = operator.hive.called(method)
    assert params.agent == "alice"
    assert {name: getattr(params, name) for name in sent} == sent


@pytest.mark.parametrize(
    "action", ["model", "account", "cancel", "compact", "new_session"]
)
@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": ""}, 403),
        ({"Host": "evil.example"}, 400),
        ({"X-CSRF-Token": "x" * 64}, 403),
    ],
)
def test_forms_of_others_are_refused(
    operator: Operator, action: str, wrong: dict[str, str], status: int
) -> None:
    answer = operator.post(f"/agents/alice/api/{action}", {"model": "opus"}, **wrong)
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert operator.hive.calls == []


@pytest.mark.parametrize(
    "path", ["state", "stats", "events", "history", "events?since=1"]
)
def test_nothing_is_told_without_a_session(stranger: Operator, path: str) -> None:
    answer = stranger.get(f"/agents/alice/api/{path}")
    assert answer.status_code == 401
    assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize("path", ["state", "stats", "events", "history"])
def test_names_that_are_none_are_refused(operator: Operator, path: str) -> None:
    for name in ("ALICE", "a..b", "-", "a" * 40):
        answer = operator.get(f"/agents/{name}/api/{path}")
        assert answer.status_code == 400 and told(answer)["code"] == "invalid_name"


def test_a_model_must_be_named(operator: Operator) -> None:
    for form in ({}, {"model": "  "}):
        assert operator.post("/agents/alice/api/model", form).status_code == 400
    too_long = operator.post("/agents/alice/api/model", {"model": "x" * 300})
    assert too_long.status_code == 413


def test_what_hived_refuses_is_said(operator: Operator) -> None:
    async def refuse(_params: Any) -> Any:
        raise HiveError(ErrorCode.AGENT_NOT_RUNNING, "alice does not run.")

    operator.hive.overrides["compact"] = refuse
    answer = operator.post("/agents/alice/api/compact")
    assert answer.status_code == 409 and told(answer)["detail"] == "alice does not run."


# --- figures ------------------------------------------------------------------------


def test_figures_are_asked_for_by_query(operator: Operator) -> None:
    answer = operator.get("/api/stats?since=5&until=99.5&step=300&key=turns&key=inbox")
    assert told(answer)["series"][0]["values"] == [3.0]
    (params,) = operator.hive.called("stats")
    assert (params.since, params.until, params.step) == (5.0, 99.5, 300)
    assert params.keys == ("turns", "inbox") and params.agent is None
    assert operator.get("/agents/bob/api/stats?agent=alice").status_code == 400
    operator.get("/agents/bob/api/stats")
    assert operator.hive.called("stats")[-1].agent == "bob", "the path says who"


@pytest.mark.parametrize(
    "query",
    ["since=x", "step=59", "step=inf", "step=nan", "agent=A B", "key=" + "k" * 201],
)
def test_figures_asked_for_wrongly_are_refused(operator: Operator, query: str) -> None:
    assert operator.get(f"/api/stats?{query}").status_code == 400
    assert operator.hive.calls == []


# --- metrics ------------------------------------------------------------------------


def test_metrics_need_their_token_and_nothing_else(stranger: Operator) -> None:
    token = f"Bearer {stranger.hive.metrics_token}"
    answer = stranger.get("/metrics", Authorization=token)
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain")
    lines = answer.text.splitlines()
    assert 'hive_tool_calls_total{agent="alice",tool="Bash"} 5.0' in lines
    assert 'hive_agent_inbox_max{agent="alice"} 2.0' in lines
    assert any(line.startswith("hive_agents ") for line in lines)
    assert any(line.startswith('hive_agent_state{agent="alice"') for line in lines)


@pytest.mark.parametrize(
    "given", ["", "Bearer ", "Bearer wrong", "Basic x", "Bearer " + "x" * 300]
)
def test_metrics_are_refused_without_it(operator: Operator, given: str) -> None:
    answer = operator.get("/metrics", Authorization=given)
    assert answer.status_code == 403, "a browser's session does not open them either"
    assert "hive metrics-token" in told(answer)["detail"]
    assert "hive_" not in answer.text


def test_metrics_do_not_answer_to_a_foreign_host(operator: Operator) -> None:
    token = f"Bearer {operator.hive.metrics_token}"
    answer = operator.get("/metrics", Authorization=token, Host="evil.example")
    assert answer.status_code == 400


def test_the_metrics_token_is_no_session(hive: FakeHive, app: Flask) -> None:
    thief = Operator(hive, app, hive.metrics_token)
    assert thief.get("/api/agents").status_code >= 400
    assert thief.get("/agents/alice/api/state").status_code >= 400


# --- history and live ---------------------------------------------------------------


def stream(operator: Operator, query: str = "", **headers: str) -> Iterator[Any]:
    """Open an agent's stream; gives what it says, greetings left out."""
    answer = operator.client.get(
        f"/agents/alice/api/events{query}",
        base_url=URL,
        headers=headers,
        buffered=False,
    )
    assert answer.status_code == 200
    return _said(answer)


def _said(answer: TestResponse) -> Iterator[Any]:
    for chunk in answer.response:
        text = chunk if isinstance(chunk, str) else chunk.decode()
        for line in text.splitlines():
            if line.startswith("data: "):
                said = json.loads(line[6:])
                if said["type"] in ("event", "gap"):
                    yield said


def emit(hive: FakeHive, count: int, agent: str = "alice") -> list[int]:
    return [hive.emit("turn.event", agent, n=n) for n in range(count)]


def seqs(found: Iterator[Any], count: int) -> list[int]:
    return [one["seq"] for one in itertools.islice(found, count)]


@pytest.mark.parametrize("way", ["header", "query"])
def test_a_stream_replays_and_goes_on(operator: Operator, way: str) -> None:
    start = operator.hive.seq
    before = emit(operator.hive, 3)
    emit(operator.hive, 1, "bob")
    operator.hive.emit("message.sent", "alice")
    found = (
        stream(operator, f"?since={start}")
        if way == "query"
        else stream(operator, **{"Last-Event-ID": str(start)})
    )
    assert seqs(found, 3) == before
    after = emit(operator.hive, 2)
    assert seqs(found, 2) == after


def test_without_a_number_a_stream_begins_now(operator: Operator) -> None:
    emit(operator.hive, 3)
    found = stream(operator)
    after = emit(operator.hive, 1)
    assert seqs(found, 1) == after


def test_a_long_replay_comes_in_pages_without_a_hole(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_events, "_PAGE", 2)
    start = operator.hive.seq
    before = emit(operator.hive, 7)
    found = stream(operator, f"?since={start}")
    assert seqs(found, 7) == before
    assert seqs(found, len(after := emit(operator.hive, 1))) == after


def test_what_the_live_stream_lost_is_read_from_the_history(
    operator: Operator,
) -> None:
    start = operator.hive.seq
    found = stream(operator, f"?since={start}")
    first = emit(operator.hive, 1)
    assert seqs(found, 1) == first
    subscribers, operator.hive.subscribers = operator.hive.subscribers, []
    lost = emit(operator.hive, 3)  # nobody hears of these
    operator.hive.subscribers = subscribers
    operator.hive.notify_gap("too slow")
    later = emit(operator.hive, 1)
    assert seqs(found, 4) == [*lost, *later]


def test_a_stream_says_when_history_is_gone(operator: Operator) -> None:
    start = operator.hive.seq
    kept = emit(operator.hive, 2)
    operator.hive.history_floor = start + 1
    found = stream(operator, f"?since={start}")
    assert next(found)["type"] == "gap"
    assert seqs(found, 2) == kept


def test_a_stream_ends_with_the_hub(hive: FakeHive) -> None:
    app = make_app(hive)
    found = stream(Operator(hive, app, hive.new_session()))
    first = emit(hive, 1)
    assert seqs(found, 1) == first
    hub: Hub = app.extensions["hyperhive"].hub
    hub.close()
    assert list(found) == []


@pytest.mark.parametrize(
    "query", ["before=0", "after=-1", "before=99999999999999999999"]
)
def test_pages_that_are_none_are_refused(operator: Operator, query: str) -> None:
    assert operator.get(f"/agents/alice/api/history?{query}").status_code == 400


def test_a_page_of_history(operator: Operator) -> None:
    before = emit(operator.hive, 3)
    answer = operator.get(f"/agents/alice/api/history?limit=2&before={before[2]}")
    assert [one["seq"] for one in told(answer)["events"]] == before[:2]
    assert told(answer)["more"] is False
