"""A client made with the Python SDK, as a process: 1.x or 2.x by its PYTHONPATH.

Says what it found as JSON lines. After ``gave_up`` it waits for a line of the test.
"""

import json
import sys
from typing import Any

import anyio
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


def say(**found: Any) -> None:
    """Tell the test."""
    print(json.dumps(found), flush=True)


def text(result: Any) -> str:
    """Return a result's text, with a mark if it is an error."""
    wrong = getattr(result, "isError", getattr(result, "is_error", False))
    return f"{'error: ' if wrong else ''}{result.content[0].text}"


async def give_up(client: ClientSession) -> None:
    """Begin a recv, and give it up as a time-out of the caller's does."""
    scope = anyio.CancelScope()

    async def receive() -> None:
        with scope:
            await client.call_tool("recv", {"wait_seconds": 120})

    async with anyio.create_task_group() as group:
        group.start_soon(receive)
        for _ in range(2):  # the second is sent after recv
            await client.call_tool("whoami", {})
        scope.cancel()


async def main(socket: str) -> None:
    """Play the whole story."""
    arguments = ["-m", "pyglue.mcp.main", "--socket", socket]
    environment = {"PYTHONPATH": sys.argv[2]}
    server = StdioServerParameters(
        command=sys.executable, args=arguments, env=environment
    )
    async with (
        stdio_client(server) as (read, write),
        ClientSession(read, write) as client,
    ):
        about: Any = await client.initialize()
        info = getattr(about, "serverInfo", None) or about.server_info
        say(server=[info.name, info.version], instructions=about.instructions)
        await client.send_ping()
        say(tools=[tool.name for tool in (await client.list_tools()).tools])
        say(bad=text(await client.call_tool("send", {"to": 1, "body": "x"})))
        try:
            say(unknown=text(await client.call_tool("nothing", {})))
        except Exception as error:
            say(unknown=str(error))
        said: list[str] = []

        async def send(number: int) -> None:
            asked = {"to": "alice", "body": str(number)}
            said.append(text(await client.call_tool("send", asked)))

        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(send, number)
        say(sent=len(said), errors=[one for one in said if one.startswith("error")])
        await give_up(client)
        say(gave_up=True)
        await anyio.to_thread.run_sync(sys.stdin.readline)
        taken = json.loads(text(await client.call_tool("recv", {"wait_seconds": 120})))
        say(taken=[one["body"] for one in taken["messages"]])
        ids = [one["id"] for one in taken["messages"]]
        say(acked=text(await client.call_tool("ack", {"messages": ids})))
        say(rest=json.loads(text(await client.call_tool("recv", {})))["messages"])


if __name__ == "__main__":
    anyio.run(main, sys.argv[1])
