"""Events inside turns on the overview: a few words, and nothing else."""

from typing import Any

import msgspec
import pytest

from checks.kits.api.events import raw
from pyglue.api.events import Event
from pyglue.web.live.steps import step_of


def event(kind: str, said: Any) -> Event:
    inside = raw({"turn": 1, "kind": kind, "data": said})
    return Event(seq=1, at=5.0, kind="turn.event", agent="bob", data=inside)


def test_a_call_begins_in_words_and_ends() -> None:
    call = {"id": "7", "name": "Bash", "input": {"command": "git push"}}
    begun = step_of(event("tool_use", call))
    assert begun is not None
    assert msgspec.json.decode(begun) == {
        "type": "step",
        "at": 5.0,
        "agent": "bob",
        "call": "7",
        "doing": "runs `git push`",
    }
    ended = step_of(event("tool_result", {"id": "7", "text": "secret " * 100}))
    assert ended is not None and "secret" not in ended
    assert msgspec.json.decode(ended)["doing"] == ""


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("text", {"text": "Hello"}),
        ("tool_use", {"name": "Bash"}),
        ("tool_use", "Bash"),
        ("tool_result", {"id": 7}),
        ("tool_use", {"id": "7", "name": "Bash", "input": "x" * 200_000}),
    ],
)
def test_nothing_else_is_a_step(kind: str, said: Any) -> None:
    assert step_of(event(kind, said)) is None
    other = msgspec.structs.replace(event(kind, said), kind="agent.state")
    assert step_of(other) is None
