"""The steps of running turns for the overview: which tool call began or ended.

The overview shows them for every agent. An event of a turn may be large, so the page
gets a few words instead: ``{"type": "step", "agent", "call", "doing", "at"}``, where an
empty ``doing`` ends the call.
"""

import msgspec

from pyglue.api.common import data_as
from pyglue.api.events import Event, TurnEvent
from pyglue.api.turn_events import ToolCall, ToolDone, TurnEventKind
from pyglue.tools.words import CALL_ID_MAX, EVENT_MAX, doing


def step_of(event: Event) -> str | None:
    """Return the step that begins or ends with ``event``; None if there is none."""
    if event.kind != TurnEvent.KIND or len(bytes(event.data)) > EVENT_MAX:
        return None
    turn_event = data_as(TurnEvent, event.data)
    if turn_event is None:
        return None
    if turn_event.kind == TurnEventKind.TOOL_USE:
        call = data_as(ToolCall, turn_event.data)
        return None if call is None else _step(event, call.id, doing(call))
    if turn_event.kind == TurnEventKind.TOOL_RESULT:
        done = data_as(ToolDone, turn_event.data)
        return None if done is None else _step(event, done.id, "")
    return None


def _step(event: Event, call: str, text: str) -> str:
    shown = {"agent": event.agent, "call": call[:CALL_ID_MAX], "doing": text}
    return msgspec.json.encode({"type": "step", "at": event.at, **shown}).decode()
