"""Events as types: every kind is read as its struct, and a foreign one is passed on."""

import re
from pathlib import Path

import msgspec
import pytest

from checks.kits.api.events import raw
from pyglue.api.event_values import AgentChange
from pyglue.api.events import (
    KINDS,
    AgentChanged,
    Event,
    MessageTaken,
    TurnEvent,
    TurnStarted,
)
from pyglue.api.turn_events import LIVE_EVENTS, ToolUse, TurnEventKind

TEMPLATES = Path(__file__).parents[3] / "web" / "templates"


def event(kind: str, data: object) -> Event:
    return Event(seq=1, at=0.0, kind=kind, agent="alice", data=raw(data))


def test_an_event_is_read_as_the_struct_of_its_kind() -> None:
    taken = MessageTaken(id=3)
    assert event("message.taken", taken).read() == taken
    step = AgentChanged(what=AgentChange.STEP)
    assert event("agent.changed", {"what": "step"}).read() == step
    assert bytes(raw(step)) == b'{"what":"step"}'


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("agent.sneezed", {"id": 3}),
        ("message.taken", {"id": "three"}),
        ("agent.changed", {"what": "mood"}),
        ("message.taken", {}),
        ("message.taken", [3]),
        ("message.taken", None),
    ],
)
def test_a_kind_or_shape_of_another_version_is_passed_on_unread(
    kind: str, data: object
) -> None:
    foreign = event(kind, data)
    assert foreign.read() is None
    line = msgspec.json.encode(foreign)
    assert msgspec.json.decode(line, type=Event) == foreign


def test_a_field_of_a_newer_hived_is_ignored() -> None:
    more = {"turn": 1, "model": "m", "mood": "good"}
    assert event("turn.started", more).read() == TurnStarted(turn=1, model="m")


def test_each_kind_has_one_struct() -> None:
    assert all(kind == struct.KIND for kind, struct in KINDS.items())
    assert set(LIVE_EVENTS) == set(TurnEventKind)


def test_data_passes_through_every_end_as_the_very_same_bytes() -> None:
    odd = msgspec.Raw(b'{"b":1.0,"a":123456789012345678901234567890,"a":"\\u00e9"}')
    said = TurnEvent(turn=1, kind="tool_use", data=odd)
    line = msgspec.json.encode(event("turn.event", said))
    again = msgspec.json.decode(line, type=Event).read()
    assert isinstance(again, TurnEvent) and bytes(again.data) == bytes(odd)


def test_arguments_of_a_tool_are_any_json() -> None:
    use = ToolUse(id="t", name="Edit", input={"a": [1, None]})
    assert msgspec.json.decode(raw(use), type=ToolUse) == use


def test_pages_reload_on_events_that_there_are() -> None:
    named = {
        word
        for page in TEMPLATES.rglob("*.html")
        for found in re.findall(r'data-on="([^"{]*)"', page.read_text())
        for word in found.split()
    }
    assert len(named) > 5
    unknown = [
        word
        for word in named
        if word not in KINDS
        and not (word.endswith(".") and any(k.startswith(word) for k in KINDS))
    ]
    assert unknown == []
