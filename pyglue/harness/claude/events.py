"""Converts the CLI's reports into live events and the metrics of a turn.

``turn`` feeds every message of the CLI to a ``Tally``. Events are shown as text only;
long texts are truncated, since the session's own transcript has them in full.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from pyglue.api.turn_events import (
    AnyLiveEvent,
    Compacted,
    Denied,
    Retry,
    Server,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    TurnResult,
)
from pyglue.harness.claude.stream_json import (
    AssistantMessage,
    ContentBlock,
    Message,
    ResultMessage,
    SystemMessage,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
    UserMessage,
)
from pyglue.text.display import visible
from pyglue.tools import HIVE

TEXT_LIMIT: Final = 16 * 1024
"""Longest text in an event, in characters."""
_VALUE_LIMIT: Final = 64 * 1024
_SENTENCE_LIMIT: Final = 2000
_ITEMS: Final = 64
_DEPTH: Final = 6
_DELAY_MAX_MS: Final = 86_400_000

Emit = Callable[[AnyLiveEvent], None]


@dataclass(kw_only=True)
class Tally:
    """The progress of a turn. ``context_tokens`` is the size of the last request."""

    emit: Emit
    tool_calls: int = 0
    context_tokens: int = 0
    error: str | None = None
    """The CLI's name for the last failed call, such as ``rate_limit``."""
    session_id: str | None = None
    text: str = ""
    result: ResultMessage | None = None
    was_compacted: bool = False
    init: dict[str, Any] = field(default_factory=dict)
    retry_after_s: float = 0.0
    """The CLI's longest wait before a retry, as requested by the model provider."""
    is_deaf: bool = False
    """Whether the hive's own tools did not connect."""

    def take(self, message: Message) -> None:
        """Count one message of the CLI and emit its events."""
        if isinstance(message, AssistantMessage):
            self._assistant(message)
        elif isinstance(message, UserMessage):
            self._user(message)
        elif isinstance(message, SystemMessage):
            self._system(message)
        elif isinstance(message, ResultMessage):
            self.result = message
            self.session_id = message.session_id
            self.emit(TurnResult(text=clip(message.result or "")))

    def _assistant(self, message: AssistantMessage) -> None:
        if message.error is not None:
            self.error = str(message.error)
        elif message.usage and message.parent_tool_use_id is None:
            self.context_tokens = tokens_read(message.usage)
        for block in message.content:
            self._block(block)

    def _block(self, block: ContentBlock) -> None:
        if isinstance(block, TextBlock):
            self.text = block.text
            self.emit(Text(text=clip(block.text)))
        elif isinstance(block, ThinkingBlock):
            self.emit(Thinking(text=clip(block.thinking)))
        elif isinstance(block, ToolUseBlock):
            self.tool_calls += 1
            name = clip(block.name, 200)
            self.emit(ToolUse(id=block.id, name=name, input=small(block.input)))

    def _user(self, message: UserMessage) -> None:
        if isinstance(message.content, str):
            return
        for block in message.content:
            if isinstance(block, ToolResultBlock):
                result = ToolResult(
                    id=block.tool_use_id,
                    text=clip(_result_text(block)),
                    is_error=bool(block.is_error),
                )
                self.emit(result)

    def _system(self, message: SystemMessage) -> None:
        data = message.data
        if message.subtype == "init":
            self.init = data
            self.session_id = data.get("session_id")
            self._servers(data.get("mcp_servers"))
        elif message.subtype == "api_retry":
            delay = data.get("retry_delay_ms")
            if isinstance(delay, int | float) and 0 <= delay < _DELAY_MAX_MS:
                self.retry_after_s = max(self.retry_after_s, delay / 1000)
            names = ("attempt", "max_retries", "retry_delay_ms", "error_status")
            self.emit(Retry(**{name: plain(data.get(name)) for name in names}))
        elif message.subtype == "permission_denied":
            tool, reason = str(data.get("tool_name")), str(data.get("message"))
            self.emit(Denied(tool=clip(tool, 200), reason=clip(reason)))
        elif message.subtype == "compact_boundary":
            self.was_compacted = True
            details = data.get("compact_metadata")
            self.emit(Compacted(details=small(details)))

    def _servers(self, servers: object) -> None:
        """Report MCP servers that did not start for this turn."""
        for server in servers if isinstance(servers, list) else []:
            name, status = str(server.get("name")), str(server.get("status"))
            if status == "connected":
                continue
            self.is_deaf = self.is_deaf or name == HIVE
            self.emit(Server(name=clip(name, 200), status=clip(status, 200)))


def tokens_read(usage: dict[str, Any]) -> int:
    """Return how many tokens the model read, from the cache or not."""
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return sum(count(usage.get(name)) for name in names)


def count(value: object) -> int:
    """Return a count that the CLI reported; 0 for anything else."""
    return value if isinstance(value, int) and 0 <= value < 2**53 else 0


def clip(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return ``text`` as valid UTF-8, truncated after ``limit`` characters."""
    cut = text if len(text) <= limit else text[:limit] + "…"
    return cut.encode(errors="replace").decode()


def small(value: object) -> Any:  # noqa: ANN401
    """Return a JSON value fit for an event: itself, or its truncated text."""
    copy = plain(value)
    encoded = msgspec.json.encode(copy)
    return copy if len(encoded) <= _VALUE_LIMIT else clip(encoded.decode())


def sentence(text: str) -> str:
    """Return ``text`` as one printable line that fits a field of the API."""
    return visible(text, limit=_SENTENCE_LIMIT)[: 2 * _SENTENCE_LIMIT]


def plain(value: object, depth: int = _DEPTH) -> Any:  # noqa: ANN401
    """Return a copy of a JSON value with long texts, lists and depths truncated."""
    if isinstance(value, str):
        return clip(value)
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else str(value)[:40]
    if depth == 0:
        return "…"
    if isinstance(value, dict):
        items = list(value.items())[:_ITEMS]
        return {clip(str(k), 200): plain(v, depth - 1) for k, v in items}
    if isinstance(value, list | tuple):
        return [plain(item, depth - 1) for item in value[:_ITEMS]]
    return clip(str(value))


def _result_text(block: ToolResultBlock) -> str:
    if isinstance(block.content, str):
        return block.content
    blocks = block.content if isinstance(block.content, list) else []
    parts = [str(one.get("text", "")) for one in blocks if isinstance(one, dict)]
    return "\n".join(parts)
