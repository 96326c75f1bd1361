"""The hive's tools as an MCP server object.

The harness hands it to the CLI, which asks over its own pipe: no process, no port.
``hive-mcp`` runs the same object over stdio. It is made through claude-agent-sdk,
whose server works with both major versions of the ``mcp`` package.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from claude_agent_sdk import (
    McpSdkServerConfig,
    SdkMcpTool,
    ToolAnnotations,
    create_sdk_mcp_server,
)

from pyglue.tools.tool import Caller, Tool

HIVE: Final = "hive"
"""Name of the server, and so the middle part of its tools' names for the CLI."""

_RESULT_CHARS: Final = 500_000
"""Results up to this size stay in the conversation instead of a file."""


def hive_server(caller: Caller, tools: Sequence[Tool]) -> McpSdkServerConfig:
    """Return the server; it is made once and serves every turn."""
    return create_sdk_mcp_server(HIVE, tools=[_as_sdk(caller, t) for t in tools])


def _as_sdk(caller: Caller, tool: Tool) -> SdkMcpTool[Any]:
    return SdkMcpTool(
        name=tool.name,
        description=tool.description,
        input_schema=tool.schema,
        handler=_handler(caller, tool),
        annotations=ToolAnnotations(maxResultSizeChars=_RESULT_CHARS),
    )


def _handler(
    caller: Caller, tool: Tool
) -> Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]:
    async def handle(arguments: dict[str, Any]) -> dict[str, Any]:
        answer = await tool.call(caller, arguments)
        return {
            "content": [{"type": "text", "text": answer.text}],
            "is_error": answer.is_error,
        }

    return handle
