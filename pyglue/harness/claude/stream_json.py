"""The messages of the CLI's stream-json output, as types.

Only what the harness reads is declared. Everything else in a message, and unknown kinds
of messages, are ignored, because newer versions of the CLI add more.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class TextBlock:
    """Text by the model."""

    text: str


@dataclass(frozen=True, kw_only=True)
class ThinkingBlock:
    """Thinking by the model."""

    thinking: str


@dataclass(frozen=True, kw_only=True)
class ToolUseBlock:
    """A tool call."""

    id: str
    name: str
    input: Any


@dataclass(frozen=True, kw_only=True)
class ToolResultBlock:
    """The result of a tool: a text, or blocks."""

    tool_use_id: str
    content: Any = None
    is_error: bool | None = None


ContentBlock = TextBlock | ThinkingBlock | ToolUseBlock | ToolResultBlock


@dataclass(frozen=True, kw_only=True)
class AssistantMessage:
    """The model's answer; ``error`` is the CLI's name for a failed call."""

    content: list[ContentBlock]
    usage: dict[str, Any] | None = None
    error: str | None = None
    parent_tool_use_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class UserMessage:
    """The input of the model: results of tools, or a text."""

    content: list[ContentBlock] | str
    echo: str | None = None
    """The id of our line, if this only confirms that it was read."""


@dataclass(frozen=True, kw_only=True)
class SystemMessage:
    """A report by the CLI itself."""

    subtype: str
    data: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ResultMessage:
    """The end of a turn."""

    subtype: str
    is_error: bool
    session_id: str
    duration_ms: int = 0
    num_turns: int = 0
    total_cost_usd: float | None = None
    usage: dict[str, Any] | None = None
    result: str | None = None
    permission_denials: list[Any] | None = None
    errors: list[str] | None = None
    api_error_status: int | None = None
    terminal_reason: str | None = None


Message = AssistantMessage | UserMessage | SystemMessage | ResultMessage


def message_of(data: dict[str, Any]) -> Message | None:
    """Return the message in ``data``; None if it is irrelevant or not a message."""
    match data:
        case {"type": "assistant", "message": {"content": list(blocks), **rest}}:
            return AssistantMessage(
                content=_blocks(blocks),
                usage=_dict(rest.get("usage")),
                error=_text(data.get("error")),
                parent_tool_use_id=_text(data.get("parent_tool_use_id")),
            )
        case {"type": "user", "isReplay": True, "uuid": str(line)}:
            return UserMessage(content="", echo=line)
        case {"type": "user", "message": {"content": list(blocks)}}:
            return UserMessage(content=_blocks(blocks))
        case {"type": "user", "message": {"content": str(text)}}:
            return UserMessage(content=text)
        case {"type": "system", "subtype": str(subtype)}:
            return SystemMessage(subtype=subtype, data=data)
        case {"type": "result", "session_id": str(session)}:
            return _result(data, session)
    return None


def _result(data: dict[str, Any], session: str) -> ResultMessage:
    cost, status = data.get("total_cost_usd"), data.get("api_error_status")
    errors, denials = data.get("errors"), data.get("permission_denials")
    return ResultMessage(
        subtype=str(data.get("subtype")),
        is_error=data.get("is_error") is not False,
        session_id=session,
        duration_ms=_count(data.get("duration_ms")),
        num_turns=_count(data.get("num_turns")),
        total_cost_usd=float(cost) if isinstance(cost, int | float) else None,
        usage=_dict(data.get("usage")),
        result=_text(data.get("result")),
        permission_denials=denials if isinstance(denials, list) else None,
        errors=[str(one) for one in errors] if isinstance(errors, list) else None,
        api_error_status=status if isinstance(status, int) else None,
        terminal_reason=_text(data.get("terminal_reason")),
    )


def _blocks(blocks: list[Any]) -> list[ContentBlock]:
    return [found for block in blocks if (found := _block(block)) is not None]


def _block(block: object) -> ContentBlock | None:
    match block:
        case {"type": "text", "text": str(text)}:
            return TextBlock(text=text)
        case {"type": "thinking", "thinking": str(text)}:
            return ThinkingBlock(thinking=text)
        case {"type": "tool_use", "id": str(use), "name": str(name), "input": given}:
            return ToolUseBlock(id=use, name=name, input=given)
        case {"type": "tool_result", "tool_use_id": str(use), **rest}:
            error = rest.get("is_error")
            return ToolResultBlock(
                tool_use_id=use,
                content=rest.get("content"),
                is_error=error if isinstance(error, bool) else None,
            )
    return None


def _dict(value: object) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: object) -> int:
    return value if isinstance(value, int) and value >= 0 else 0
