"""The program ``hive-mcp``: role and rights are the socket's, tools ``pyglue.tools``.

It receives the messages of a stopped agent; a running agent's harness receives them
itself. When hived restarts, the next call connects again.
"""

import argparse
import asyncio
import logging
import sys
from pathlib import Path
from typing import Final

from pyglue import __version__, paths, startup
from pyglue.api.common import HelloResult, Role
from pyglue.errors import ErrorCode, HiveError
from pyglue.mcp import stdio
from pyglue.mcp.link import Link
from pyglue.mcp.server import EVERY_S, McpServer
from pyglue.process import need_open_files
from pyglue.tools import Tool, lending_tools, manager_tools
from pyglue.tools.agent import agent_tools

_ABOUT: Final = (
    "Offer the tools of one agent's socket to an MCP client over standard input and "
    "output."
)
_INSTRUCTIONS: Final = """\
The tools of {name}, the {role} of a hive: whatever you do here, {name} does.

While {name} is stopped, recv takes its messages. Each comes again until you name its
id in 'had' of your next recv, or in ack.

While {name} is running, it receives its own messages. Then you can send, ask, and view
pending messages (recv with 'peek'). To receive here, ask the operator to stop it:
hive stop {name}."""


def tools_of(role: Role, agents: Path) -> tuple[Tool, ...]:
    """Return the tools of a socket with this role.

    Raises:
        HiveError: ``forbidden`` for a socket that does not belong to an agent.
    """
    match role:
        case Role.AGENT:
            tools = agent_tools()
        case Role.MANAGER:
            tools = manager_tools(agents)
        case _:
            raise HiveError(
                ErrorCode.FORBIDDEN,
                f"This is the {role.value}'s socket, which has no tools. Give an "
                "agent's: …/agents/NAME/hive.sock.",
            )
    own = {tool.name: tool for tool in lending_tools()}
    return (*(own.pop(tool.name, tool) for tool in tools), *own.values())


def instructions(hello: HelloResult) -> str:
    """Return what a client's model should know about these tools."""
    return _INSTRUCTIONS.format(name=hello.agent or "agent", role=hello.role.value)


async def serve(socket: Path, agents: Path, every_s: float = EVERY_S) -> None:
    """Serve the tools of ``socket`` over stdio until the client disconnects.

    Raises:
        HiveError: when the socket does not answer or has no tools.
    """
    link = Link(socket)
    hello = await link.hello()
    output = await stdio.Output.open()
    server = McpServer(
        tools=tools_of(hello.role, agents),
        caller=link,
        instructions=instructions(hello),
        write=output.write,
        every_s=every_s,
    )
    async for line in stdio.lines():
        server.take(line)
        await output.drained()
    link.close()
    await server.finish()
    await output.close()


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="hive-mcp", description=_ABOUT)
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "--socket",
        type=Path,
        default=Path(paths.INSIDE.hive_socket),
        help="the agent's hive.sock (default: %(default)s)",
    )
    parser.add_argument(
        "--agents",
        type=Path,
        default=Path(paths.INSIDE.agents),
        help="the agents' repositories, for a manager's commits (default: %(default)s)",
    )
    parser.add_argument(
        "--progress-seconds",
        type=float,
        default=EVERY_S,
        help="how often a waiting call reports progress (default: %(default)g)",
    )
    return parser


def main() -> None:
    """Entry point of ``hive-mcp``."""
    startup.done()
    arguments = build_parser().parse_args()
    logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stderr)
    every_s = max(0.1, arguments.progress_seconds)
    try:
        need_open_files()
        asyncio.run(serve(arguments.socket, arguments.agents, every_s))
    except HiveError as error:
        sys.exit(f"hive-mcp: {error.message}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
