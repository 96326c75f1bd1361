"""What may stand in a request's tools and messages: lists of what is let through.

Called by ``request``. A block, source or tool that is not on a list is refused by
name: it could make the model's side fetch, run or remember something, which would be
the internet for an agent without one. What a tool was called with and what it
answered is text of the agent's own and is not looked into.
"""

import re
from typing import Any, Final

from pyglue.api.relay import ModelPolicy
from pyglue.errors import ErrorCode, HiveError

_MESSAGE_KEYS: Final = frozenset({"clear_at", "content", "output_config", "role"})
_PLAIN: Final = frozenset(
    {
        "redacted_thinking",
        "search_result",
        "text",
        "thinking",
        "tool_reference",
        "tool_use",
    }
)
_OF_SERVER_TOOLS: Final = frozenset(
    {
        "bash_code_execution_tool_result",
        "code_execution_tool_result",
        "server_tool_use",
        "text_editor_code_execution_tool_result",
        "web_fetch_tool_result",
        "web_search_tool_result",
    }
)
_SOURCES: Final = frozenset({"base64", "content", "text"})
_CLIENT_TOOL: Final = re.compile(r"(bash|computer|memory|text_editor)_[0-9]{8}")
_SERVER_TOOL: Final = re.compile(r"([a-z_]+)_[0-9]{8}")
_IMAGE_TOKENS: Final = 5000
"""More than any one image costs; its bytes say nothing about that."""


def bad(what: str) -> HiveError:
    """Return the error for a request that is not in the API's form."""
    return HiveError(ErrorCode.BAD_REQUEST, f"The request is not right: {what}.")


def refused(what: str) -> HiveError:
    """Return the error for something that is not let through."""
    return HiveError(
        ErrorCode.FIELD_REFUSED,
        f"The hive does not let {what} through to the model. The operator can allow "
        "server tools in the agent's manifest; nothing else of this kind.",
    )


def shown(value: object) -> str:
    """Return something an agent chose, short, quoted and in ASCII."""
    return ascii(str(value)[:60])


class Reader:
    """Walks one request. ``image_bytes`` and ``images`` are what it met."""

    def __init__(self, policy: ModelPolicy) -> None:
        self._server_tools = frozenset(policy.server_tools)
        self.images = 0
        self.image_bytes = 0

    def tokens(self, size: int, *, bytes_per_token: int) -> int:
        """Return what a body of ``size`` bytes is read as, rather too much."""
        text = max(0, size - self.image_bytes) // bytes_per_token
        return text + self.images * _IMAGE_TOKENS

    def tools(self, tools: object) -> None:
        """Judge the list of tools."""
        for tool in _list(tools, "tools"):
            self._tool(tool)

    def messages(self, messages: object) -> None:
        """Judge the conversation."""
        for message in _list(messages, "messages"):
            if not isinstance(message, dict):
                raise bad("a message must be an object")
            for key in message.keys() - _MESSAGE_KEYS:
                raise refused(f"the field {shown(key)} of a message")
            self.content(message.get("content"))

    def content(self, content: object) -> None:
        """Judge a text or a list of blocks."""
        if content is None or isinstance(content, str):
            return
        for block in _list(content, "content"):
            if not isinstance(block, dict):
                raise bad("a content block must be an object")
            self._block(block)

    def _block(self, block: dict[str, Any]) -> None:
        kind = block.get("type")
        if kind in ("image", "document"):
            self._source(block.get("source"))
        elif kind == "tool_result":
            self.content(block.get("content"))
        elif kind in ("tool_addition", "tool_removal"):
            self._change(block.get("tool"))
        elif kind in _OF_SERVER_TOOLS and self._server_tools:
            return
        elif kind not in _PLAIN:
            raise refused(f"a block of type {shown(kind)}")

    def _source(self, source: object) -> None:
        if not isinstance(source, dict):
            raise bad("a source must be an object")
        kind = source.get("type")
        if kind not in _SOURCES:
            raise refused(f"a source of type {shown(kind)}")
        if kind == "content":
            self.content(source.get("content"))
        data, media = source.get("data"), str(source.get("media_type"))
        if kind == "base64" and isinstance(data, str) and media.startswith("image/"):
            self.images += 1
            self.image_bytes += len(data)

    def _change(self, tool: object) -> None:
        """Judge a tool that is added or removed in the middle of a conversation."""
        if not isinstance(tool, dict):
            raise bad("a tool must be an object")
        if tool.get("type") == "tool_definition":
            self._tool(tool.get("definition"))
        elif tool.get("type") != "tool_reference":
            raise refused(f"a tool of type {shown(tool.get('type'))}")

    def _tool(self, tool: object) -> None:
        if not isinstance(tool, dict):
            raise bad("a tool must be an object")
        kind = tool.get("type", "custom")
        if kind == "custom":
            return
        if isinstance(kind, str):
            server = _SERVER_TOOL.fullmatch(kind)
            if _CLIENT_TOOL.fullmatch(kind) or (
                server is not None and server[1] in self._server_tools
            ):
                return
        raise refused(f"a tool of type {shown(kind)}")


def _list(value: object, name: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise bad(f"{name} must be a list")
    return value
