"""One action on many agents over HTTP: what is refused, and what is said of each."""

from typing import Any

import pytest

from checks.kits.web.app import Operator
from pyglue.api.common import Done
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
