"""hive-mcp: the tools of a socket for any MCP client, and leased messages."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from checks.kits.harness.bench import FakeHive
from checks.kits.patience import PATIENCE_S
from pyglue.api.common import Role
from pyglue.errors import ErrorCode, HiveError
from pyglue.mcp.main import tools_of
from pyglue.tools import manager_tools

if TYPE_CHECKING:
    from mcp import ClientSession

AGENTS = Path("/agents")


@pytest.fixture
async def hive(tmp_path: Path) -> AsyncIterator[FakeHive]:
    async with FakeHive(tmp_path / "hive.sock", role=Role.MANAGER) as hive:
        yield hive


# --- hive-mcp -----------------------------------------------------------------------
@contextlib.asynccontextmanager
async def _client(hive: FakeHive, *more: str) -> AsyncIterator["ClientSession"]:
    # Every worker collects this file, and one uses the SDK, which takes 0.4 s.
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client

    arguments = ["-m", "pyglue.mcp.main", "--socket", str(hive.path), *more]
    server = StdioServerParameters(command=sys.executable, args=arguments)
    async with (
        stdio_client(server) as (read, write),
        ClientSession(read, write) as client,
    ):
        await client.initialize()
        yield client


def _text(result: Any) -> str:
    return str(result.content[0].text)


async def test_hive_mcp_offers_the_tools_of_its_socket(hive: FakeHive) -> None:
    async with _client(hive) as client:
        listed = await client.list_tools()
        theirs = {tool.name for tool in manager_tools(AGENTS)}
        assert {tool.name for tool in listed.tools} == {*theirs, "ack"}
        sent = await client.call_tool("send", {"to": "alice", "body": "hi"})
        assert json.loads(_text(sent)) == {"id": 1001, "hop": 1}
        hive.refuse_send = HiveError(ErrorCode.NOT_FOUND, "There is no alice.")
        refused = await client.call_tool("send", {"to": "alice", "body": "hi"})
        assert _text(refused) == "There is no alice. (error: not_found)"
        hive.stop()
        await hive.start()
        me = await client.call_tool("whoami", {})
        assert json.loads(_text(me))["name"] == "bob"


async def test_mail_of_hive_mcp_is_lent_until_it_is_acknowledged(
    hive: FakeHive,
) -> None:
    async def recv(client: "ClientSession", *had: int) -> list[tuple[str, bool]]:
        arguments = {"max": 9} | ({"had": had} if had else {})
        got = json.loads(_text(await client.call_tool("recv", arguments)))
        return [(m["body"], m["redelivered"]) for m in got["messages"]]

    await hive.mail("one")
    async with _client(hive) as client:
        assert await recv(client) == [("one", False)]
    await hive.until(lambda: hive.waiting)  # gone without a word: it waits again
    async with _client(hive) as client:
        assert await recv(client) == [("one", True)]
        assert await recv(client) == [("one", True)]  # the answer may have got lost
        await hive.mail("two")
        peeked = await client.call_tool("recv", {"peek": True})
        assert "two" in _text(peeked)
        assert await recv(client, 1) == [("two", False)]  # ends "one"
        acked = await client.call_tool("ack", {"messages": [99]})
        assert json.loads(_text(acked)) == {"acknowledged": 0}
        acked = await client.call_tool("ack", {})
        assert json.loads(_text(acked)) == {"acknowledged": 1}
        await hive.mail("three")
        assert await recv(client) == [("three", False)]
    await hive.until(lambda: hive.waiting)
    assert [m.body for m in hive.waiting] == ["three"]


async def test_a_long_recv_of_hive_mcp_shows_signs_of_life(hive: FakeHive) -> None:
    heard: list[str | None] = []
    alive = asyncio.Event()

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        del progress, total
        heard.append(message)
        alive.set()

    async with _client(hive, "--progress-seconds", "0.2") as client:
        arguments: dict[str, Any] = {"wait_seconds": 120}
        waiting = asyncio.create_task(
            client.call_tool("recv", arguments, progress_callback=hear)
        )
        async with asyncio.timeout(PATIENCE_S):
            await alive.wait()
            await hive.mail("at last")
            answer = (await waiting).model_dump(by_alias=True)
            assert not answer["isError"]  # the attribute has another name in 1.x
    assert "Still waiting" in (heard[0] or "")


def test_hive_mcp_says_when_nobody_listens(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pyglue.mcp.main", "--socket", str(tmp_path / "none")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("hive-mcp: hived does not answer at ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.RELAY])
def test_hive_mcp_refuses_other_sockets(role: Role) -> None:
    with pytest.raises(HiveError, match="has no tools"):
        tools_of(role, AGENTS)
