"""The box of an agent's page: messages to the agent and to a running turn."""

import json
from typing import Any

import pytest
from msgspec.structs import replace
from werkzeug.test import TestResponse

from checks.kits.web import data as data
from checks.kits.web.app import Operator
from checks.kits.web.hive import FakeHive
from pyglue.api.inbox import OperatorSendParams, SentResult
from pyglue.api.messages import Message, Priority, Progress, ShownMessage, Stage

URGENT = OperatorSendParams(to="alice", body="Stop that.", priority=Priority.HIGH)


def running(hive: FakeHive, turn: int | None, reached: int | None) -> None:
    """Let alice run this turn, and what is sent reach that one."""

    async def sent(_params: Any) -> SentResult:
        return SentResult(id=9, turn=reached)

    hive.overrides["send"] = sent
    hive.agents = [
        replace(one, turn=turn) if one.name == "alice" else one for one in hive.agents
    ]


def _told(answer: TestResponse) -> str:
    found: dict[str, Any] = json.loads(answer.text)
    return str(found["text"])


@pytest.mark.parametrize(
    ("form", "priority"),
    [
        ({"line": "/steer Stop that."}, Priority.HIGH),
        ({"line": "Stop that.", "priority": "high"}, Priority.HIGH),
        ({"line": "Stop that."}, Priority.NORMAL),
        ({"line": "Stop that.", "priority": "<x>"}, Priority.NORMAL),
    ],
)
def test_a_text_goes_to_the_turn_that_runs(
    hive: FakeHive, operator: Operator, form: dict[str, str], priority: Priority
) -> None:
    running(hive, 41, 41)
    answer = operator.post("/agents/alice/command", form, Accept="application/json")
    assert answer.status_code == 200
    assert _told(answer) == (
        "Sent as message 9; turn 41 gets it when its current tool call has ended."
    )
    assert operator.hive.called("send") == [replace(URGENT, priority=priority)]


def test_it_says_so_if_the_turn_gets_nothing(
    hive: FakeHive, operator: Operator
) -> None:
    running(hive, 41, None)
    form = {"line": "/steer Stop that."}
    answer = operator.post("/agents/alice/command", form, Accept="application/json")
    told = "Sent as message 9; alice gets it with its next turn."
    assert _told(answer) == told


@pytest.mark.parametrize("line", ["", " ", "/steer", "/steer ", "/stop that"])
def test_nothing_is_sent_without_a_text_or_to_no_command(
    hive: FakeHive, operator: Operator, line: str
) -> None:
    running(hive, None, None)
    answer = operator.post(
        "/agents/alice/command", {"line": line}, Accept="application/json"
    )
    assert answer.status_code == 400
    assert not operator.hive.called("send")


@pytest.mark.parametrize(
    ("progress", "said"),
    [
        (Progress(stage=Stage.QUEUED), "Queued"),
        (Progress(stage=Stage.DELIVERED, turn=41), "Delivered in turn 41"),
        (
            Progress(stage=Stage.DONE, turn=41, at_boundary=True, answer=52),
            "Delivered in turn 41 at a tool boundary, answered by message 52",
        ),
        (Progress(stage=Stage.DROPPED, turn=41), "Dropped"),
    ],
)
def test_the_page_says_what_became_of_a_message(
    hive: FakeHive, operator: Operator, progress: Progress, said: str
) -> None:
    for number, sender, part in ((9, "operator", "talk"), (8, "bob", "messages")):
        first = data.message(number, sender=sender, recipient="alice")
        values = {name: getattr(first, name) for name in Message.__struct_fields__}
        hive.messages = [ShownMessage(**values, progress=progress)]
        page = operator.get(f"/fragments/agent/alice/{part}")
        assert f'data-testid="progress">{said}</p>' in page.text


def test_each_message_stands_once_on_the_page(
    hive: FakeHive, operator: Operator
) -> None:
    hive.messages = [
        data.message(3, sender="bob", recipient="alice"),
        data.message(2, sender="alice", recipient="operator"),
        data.message(1, sender="operator", recipient="alice"),
    ]
    page = operator.get("/agents/alice").text
    for number in (1, 2, 3):
        assert page.count(f'data-id="{number}"') == 1
    assert operator.get("/fragments/agent/alice/messages").text.count("data-id=") == 1


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"turn": 5}, "alice compacts its session after turn 5."),
        ({"turns": 0}, "alice has had no turn yet, so there is nothing to compact."),
        ({"turns": 3}, "Compacting the session of alice…"),
    ],
)
def test_what_compacting_leads_to_is_said(
    operator: Operator, fields: dict[str, object], says: str
) -> None:
    operator.hive.agents = [data.agent("alice", **fields)]
    answer = operator.post("/agents/alice/command", {"line": "/compact"})
    assert operator.hive.called("compact")
    assert says in (answer.text + operator.get(answer.location or "/").text)
