"""The hive's tools as an MCP server object, for the harness.

It hands it to the CLI, which asks over its own pipe: no process, no port. It is made
through claude-agent-sdk, whose server works with both major versions of the ``mcp``
package. ``hive-mcp`` serves the same tools without either (``pyglue.mcp``).
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from claude_agent_sdk import (
    McpSdkServerConfig,
    SdkMcpTool,
    ToolAnnotations,
    create_sdk_mcp_server,
)

from pyglue.tools.tool import HIVE, RESULT_CHARS, Caller, Tool


def hive_server(caller: Caller, tools: Sequence[Tool]) -> McpSdkServerConfig:
    """Return the server; it is made once and serves every turn."""
    return create_sdk_mcp_server(HIVE, tools=[_as_sdk(caller, t) for t in tools])


def _as_sdk(caller: Caller, tool: Tool) -> SdkMcpTool[Any]:
    return SdkMcpTool(
        name=tool.name,
        description=tool.description,
        input_schema=tool.schema,
        handler=_handler(caller, tool),
        annotations=ToolAnnotations(maxResultSizeChars=RESULT_CHARS),
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
