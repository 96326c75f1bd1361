"""What a harness reports from inside a turn: a struct for each kind of live event.

A harness runs in the agent's container, so these are the agent's claims: hived passes
them on unchanged and unread, and pages show them as text. The exceptions are
``ToolName``, ``ToolCall``, ``ToolDone`` and ``Server``, which hived reads, and trusts
no further than ``trust`` says. A harness of another version may report other kinds;
they are passed on and shown like a ``Log``.
"""

from enum import StrEnum
from typing import Any, ClassVar, Final, get_args

import msgspec

from pyglue.api import trust


class TurnEventKind(StrEnum):
    """What happens inside a turn, as the dashboard shows it live."""

    TEXT = "text"
    THINKING = "thinking"
    TOOL_USE = "tool_use"
    TOOL_RESULT = "tool_result"
    DENIED = "denied"
    RETRY = "retry"
    COMPACTED = "compacted"
    SERVER = "server"
    RESULT = "result"
    LOG = "log"


class LiveEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Base of a live event; unknown fields are ignored."""

    KIND: ClassVar[TurnEventKind]


class Text(LiveEvent, frozen=True):
    """Text by the model."""

    KIND: ClassVar[TurnEventKind] = TurnEventKind.TEXT
    text: str


class Thinking(LiveEvent, frozen=True):
    """Thinking by the model."""

    KIND: ClassVar[TurnEventKind] = TurnEventKind.THINKING
    text: str


class ToolUse(LiveEvent, frozen=True):
    """The model calls a tool."""

    KIND: ClassVar[TurnEventKind] = TurnEventKind.TOOL_USE
    id: str
    name: str
    input: Any


class ToolResult(LiveEvent, frozen=True):
    """The result of the tool call ``id``."""

    KIND: ClassVar[TurnEventKind] = TurnEventKind.TOOL_RESULT
    id: str
    text: str
    is_error: bool


class Denied(LiveEvent, frozen=True):
    """A tool call was denied by the agent's permissions.

    ``pattern`` is one of ``bash.allow`` that would allow it, if one is known.
    """

    KIND: ClassVar[TurnEventKind] = TurnEventKind.DENIED
    tool: str
    reason: str
    pattern: str | None = None


class Retry(LiveEvent, frozen=True):
    """The CLI retries a request to the model; values are the CLI's own."""

    KIND: ClassVar[TurnEventKind] = TurnEventKind.RETRY
    attempt: Any
    max_retries: Any
    retry_delay_ms: Any
    error_status: Any


class Compacted(LiveEvent, frozen=True):
    """The CLI shortened the conversation; ``details`` are the CLI's own."""

    KIND: ClassVar[TurnEventKind] = TurnEventKind.COMPACTED
    details: Any


class Server(LiveEvent, frozen=True):
    """An MCP server is not available in this turn."""

    KIND: ClassVar[TurnEventKind] = TurnEventKind.SERVER
    name: str
    status: str

    TRUST: ClassVar = {
        "name": f"{trust.NO}; the manager is notified about a server once a day",
        "status": trust.NO,
    }


class TurnResult(LiveEvent, frozen=True):
    """The model's final answer."""

    KIND: ClassVar[TurnEventKind] = TurnEventKind.RESULT
    text: str


class Log(LiveEvent, frozen=True):
    """A remark of the harness or of hived."""

    KIND: ClassVar[TurnEventKind] = TurnEventKind.LOG
    text: str


AnyLiveEvent = (
    Text
    | Thinking
    | ToolUse
    | ToolResult
    | Denied
    | Retry
    | Compacted
    | Server
    | TurnResult
    | Log
)
"""Every kind of live event."""

LIVE_EVENTS: Final[dict[TurnEventKind, type[AnyLiveEvent]]] = {
    one.KIND: one for one in get_args(AnyLiveEvent)
}


class ToolName(LiveEvent, frozen=True):
    """The part of a ``ToolUse`` that hived reads, to count calls."""

    KIND: ClassVar[TurnEventKind] = TurnEventKind.TOOL_USE
    name: str

    TRUST: ClassVar = {
        "name": "no: names a metric of the agent's own calls, if it is a plain word"
    }


class ToolCall(ToolName, frozen=True):
    """The part of a ``ToolUse`` that hived reads, to show the current step."""

    id: str
    input: Any = None

    TRUST: ClassVar = {
        "id": "no: only matches the call with its result",
        "name": (
            f"{trust.NO}; the operator is notified about a call that takes too long"
        ),
        "input": f"{trust.NO}: a few words of it beside the tool's name",
    }


class ToolDone(LiveEvent, frozen=True):
    """The part of a ``ToolResult`` that hived reads: that call is over."""

    KIND: ClassVar[TurnEventKind] = TurnEventKind.TOOL_RESULT
    id: str

    TRUST: ClassVar = {"id": "no: only ends a call that this harness reported"}
