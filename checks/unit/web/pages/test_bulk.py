"""One action on many agents over HTTP: refusals, and the result of each."""

import re
from typing import Any

import msgspec
import pytest

from checks.kits.web import data as data
from checks.kits.web.app import Operator
from pyglue.api.common import Done
from pyglue.api.overview import Step
from pyglue.errors import ErrorCode, HiveError


def test_one_refusal_keeps_no_other_agent_from_it(operator: Operator) -> None:
    async def pause(params: Any) -> Done:
        if params.agent == "bob":
            raise HiveError(ErrorCode.CONFLICT, "bob is stopped.")
        return Done()

    operator.hive.overrides["pause"] = pause
    form = {"do": "pause", "agent": ["alice", "bob", "alice", "A/../b"]}
    answer = operator.post("/bulk", form, Accept="application/json")
    assert answer.status_code == 200 and answer.json is not None
    first, *lines = answer.json["text"].split("\n")
    assert first == "1 paused, 2 refused:"
    assert lines[0] == "bob: bob is stopped."
    assert lines[1].startswith("A/../b: ")
    assert lines[2] == "Paused: alice"
    assert answer.json["failed"] is True
    assert [one.agent for one in operator.hive.called("pause")] == ["alice", "bob"]


@pytest.mark.parametrize(
    ("form", "status", "text"),
    [
        ({"do": "pause"}, 400, "0 agents are selected"),
        ({"do": "pause", "agent": [f"a{n}" for n in range(1001)]}, 400, "1,001"),
        ({"do": "destroy", "agent": ["alice"]}, 404, "no action"),
        ({"agent": ["alice"]}, 400, "field"),
        ({"do": "send", "agent": ["alice"], "body": " "}, 400, "Enter a message"),
    ],
)
def test_what_is_refused_as_a_whole(
    operator: Operator, form: dict[str, Any], status: int, text: str
) -> None:
    answer = operator.post("/bulk", form)
    assert answer.status_code == status
    assert text in answer.text
    assert not operator.hive.called("pause") and not operator.hive.called("send")


def test_a_session_that_ends_is_no_refusal(operator: Operator) -> None:
    operator.hive.end_session(operator.session or "")
    answer = operator.post("/bulk", {"do": "pause", "agent": ["alice"]})
    assert answer.status_code in (302, 303, 401)
    assert "refused" not in answer.text


def in_turns(operator: Operator) -> None:
    alice, bob, carol = (data.agent(one) for one in ("alice", "bob", "carol"))
    step = Step(text="Bash", since_at=data.NOW, doing="runs `git push`")
    busy = msgspec.structs.replace(bob, turn=41, step=step)
    operator.hive.agents = [alice, busy, msgspec.structs.replace(carol, turn=42)]


@pytest.mark.parametrize("word", ["stop", "restart", "cancel"])
def test_what_cancels_turns_asks_first_and_names_them(
    operator: Operator, word: str
) -> None:
    in_turns(operator)
    form = {"do": word, "agent": ["alice", "bob", "carol"], "back": "/?q=a#agents"}
    asked = operator.post("/bulk", form, Accept="application/json").json
    assert asked is not None and set(asked) == {"ask"}
    assert asked["ask"]["text"].startswith("2 of 3 agents are in a turn. ")
    rows = [["bob", "runs `git push`"], ["carol", ""]]
    assert asked["ask"]["rows"] == rows
    page = operator.post("/bulk", form)
    assert page.status_code == 200
    assert "<b>bob</b>" in page.text and "<code>git push</code>" in page.text
    assert re.findall('name="agent" value="([^"]*)"', page.text) == form["agent"]
    assert 'name="back" value="/?q=a#agents"' in page.text
    assert not operator.hive.called(word)
    done = operator.post("/bulk", {**form, "confirmed": "yes"})
    assert done.location == "/?q=a#agents"
    assert len(operator.hive.called(word)) == 3


@pytest.mark.parametrize("word", ["pause", "resume", "start", "compact", "new"])
def test_what_cancels_no_turn_asks_nothing(operator: Operator, word: str) -> None:
    in_turns(operator)
    form = {"do": word, "agent": ["alice", "bob"]}
    answer = operator.post("/bulk", form, Accept="application/json").json
    assert answer is not None and "ask" not in answer


def test_a_rebuild_may_cancel_turns(operator: Operator) -> None:
    in_turns(operator)
    form = {"do": "rebuild", "agent": ["bob"]}
    asked = operator.post("/bulk", form, Accept="application/json").json
    assert asked is not None
    assert asked["ask"]["title"] == "Rebuild: 1 agent"
    assert asked["ask"]["text"] == (
        "The agent is in a turn. Turns that do not finish soon are cancelled, and "
        "their messages are queued again."
    )


def test_agents_without_a_turn_are_stopped_at_once(operator: Operator) -> None:
    in_turns(operator)
    operator.post("/bulk", {"do": "stop", "agent": ["alice", "nobody"]})
    asked = [one.agent for one in operator.hive.called("stop")]
    assert asked == ["alice", "nobody"]
