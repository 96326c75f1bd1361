"""hive-mcp: the tools of one agent's socket over stdio, for any other MCP client.

The socket determines role and rights; ``pyglue.tools`` defines the tools. There is one
additional tool, ``ack``, because no turn acknowledges messages here. Messages handed
out by ``recv`` are leased until the next ``recv`` or ``ack``; when the client
disconnects first, they are queued again and marked redelivered. When hived restarts,
the next call reconnects.
"""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from mcp.server.stdio import stdio_server
from msgspec.structs import replace

from pyglue import jsonrpc, paths
from pyglue.api.common import (
    PROTOCOL,
    HelloParams,
    HelloResult,
    Method,
    Params,
    Result,
    Role,
)
from pyglue.api.messages import AckParams, RecvParams, RecvResult
from pyglue.cli.output.progress import EVERY_S, add_progress
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import Connection
from pyglue.tools import Tool, ack_tool, agent_tools, manager_tools
from pyglue.tools.mcp import hive_server

P = TypeVar("P", bound=Params)
R = TypeVar("R", bound=Result)

_HELLO: Final = HelloParams(protocol=PROTOCOL, client="hive-mcp")


class Socket:
    """Calls over one socket, connecting when there is no connection."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()
        self._lent: frozenset[int] = frozenset()

    async def connection(self) -> Connection:
        """Return an open connection.

        Raises:
            HiveError: ``unavailable`` when nobody listens, or the hello was refused.
        """
        async with self._connecting:
            if self._connection is None or self._connection.closed:
                self._connection = await jsonrpc.connect(self._path, hello=_HELLO)
            return self._connection

    async def call(
        self, method: Method[P, R], params: P, *, timeout: float | None = None
    ) -> R:
        """Call; as ``Connection.call``. Receiving acknowledges the messages before it.

        Messages in an answer that nobody waited for are not acknowledged by that.
        """
        connection = await self.connection()
        asked: Params = params
        if isinstance(params, RecvParams) and not params.peek:
            asked = replace(params, had=tuple(self._lent))
        elif isinstance(params, AckParams) and params.messages is None:
            asked = AckParams(messages=tuple(self._lent))
        answer = await connection.call(method, cast(P, asked), timeout=timeout)
        if isinstance(answer, RecvResult) and asked is not params:
            self._lent = frozenset(message.id for message in answer.messages)
        return answer

    async def role(self) -> Role:
        """Return the role of the socket's callers."""
        hello = (await self.connection()).hello
        if not isinstance(hello, HelloResult):
            raise AssertionError("a client's connection has the server's hello")
        return hello.role


def tools_of(role: Role, agents: Path) -> tuple[Tool, ...]:
    """Return the tools of a socket with this role.

    Raises:
        HiveError: ``forbidden`` for a socket that does not belong to an agent.
    """
    match role:
        case Role.AGENT:
            return (*agent_tools(), ack_tool())
        case Role.MANAGER:
            return (*manager_tools(agents), ack_tool())
    raise HiveError(
        ErrorCode.FORBIDDEN,
        f"The {role.value}'s socket has no tools. Use an agent's socket: "
        "…/agents/NAME/hive.sock.",
    )


async def serve(socket: Path, agents: Path, every_s: float = EVERY_S) -> None:
    """Serve the tools of ``socket`` over stdio until the client disconnects.

    Raises:
        HiveError: the socket does not answer or has no tools.
    """
    caller = Socket(socket)
    tools = tools_of(await caller.role(), agents)
    server: Any = hive_server(caller, tools)["instance"]
    add_progress(server, every_s)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


def main() -> None:
    """Entry point of ``hive-mcp``."""
    parser = argparse.ArgumentParser(prog="hive-mcp", description=__doc__)
    parser.add_argument("--socket", type=Path, default=Path(paths.INSIDE.hive_socket))
    parser.add_argument("--agents", type=Path, default=Path(paths.INSIDE.agents))
    parser.add_argument(
        "--progress-seconds",
        type=float,
        default=EVERY_S,
        help="seconds between progress reports of a waiting call",
    )
    arguments = parser.parse_args()
    every_s = max(0.1, arguments.progress_seconds)
    try:
        asyncio.run(serve(arguments.socket, arguments.agents, every_s))
    except HiveError as error:
        sys.exit(f"hive-mcp: {error.message}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
