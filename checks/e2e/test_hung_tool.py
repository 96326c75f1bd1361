"""A tool of an MCP server that never returns: shown, reported, cancelled, or ended."""

import json

import pytest

from checks.kits.api.events import data
from checks.kits.cli import run
from checks.kits.host.hive import Hive, script
from checks.kits.host.shared_hive import shared_hive
from pyglue.api import operator as api
from pyglue.api.common import AgentState, NoParams
from pyglue.api.doctor import CheckState
from pyglue.api.overview import AgentView
from pyglue.config import Timeouts

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nix", "git", "bwrap"),
]

_LATE_S = 1.0
HANGS = """
import json, sys
for line in sys.stdin:
    ask = json.loads(line)
    answer = {"initialize": {"protocolVersion": "2025-06-18",
              "capabilities": {"tools": {}},
              "serverInfo": {"name": "fetch", "version": "1"}},
              "tools/list": {"tools": [{"name": "get",
              "inputSchema": {"type": "object"}}]}}.get(ask.get("method"))
    if answer and "id" in ask:
        done = {"jsonrpc": "2.0", "id": ask["id"], "result": answer}
        print(json.dumps(done), flush=True)
"""
"""An MCP server that answers everything but a tool call."""


def nix(**options: object) -> str:
    server = {
        "command": "python3",
        "args": ["-c", HANGS],
        "allowedTools": ["get"],
        **options,
    }
    return (
        "{ hyperhive.mcpServers.fetch = builtins.fromJSON "
        f"{json.dumps(json.dumps(server))}; }}"
    )


hive = shared_hive(
    timeouts=Timeouts(health_s=90.0, drain_s=2.0, late_step_s=_LATE_S), real=("alice",)
)


def command(hive: Hive, *words: str) -> str:
    """Run ``hive`` as the operator types it; return what it printed."""
    socket = hive.local.config.layout.operator_socket
    said = run.typed(*words, "--socket", socket)
    return said.out + said.err


def hang(then: str) -> str:
    return script({"tool": "mcp__fetch__get", "input": {}}, {"text": then})


async def hung(hive: Hive) -> AgentView:
    async def look() -> AgentView | None:
        found = await hive.agent("alice")
        return found if found.step is not None and found.step.is_late else None

    return await hive.until(look, "a late step of alice")


async def test_it_is_seen_told_and_cancelled_without_coming_back(hive: Hive) -> None:
    assert (await hive.approve(await hive.propose("alice", nix()))).error is None
    await hive.send("alice", hang("never"))
    view = await hung(hive)
    assert view.step is not None
    assert (view.step.text, view.step.is_long) == ("MCP tool fetch.get", True)

    async def told() -> str | None:
        bodies = [m.body for m in await hive.inbox(sender="system")]
        return next((b for b in bodies if "fetch.get" in b), None)

    text = await hive.until(told, "the notice")
    assert text.startswith("alice reports a tool call without a result")
    assert "toolTimeout" in text
    for words in (("agents",), ("status",)):
        assert "MCP tool fetch.get, " in command(hive, *words)
    checks = (await hive.operator.call(api.DOCTOR, NoParams())).checks
    (found,) = [check for check in checks if check.name == "agent alice"]
    assert found.state is CheckState.WARNING
    assert "“MCP tool fetch.get”" in found.message
    said = command(hive, "cancel", "alice", "--messages", "drop")
    assert "its messages are dropped" in said
    await hive.idle("alice")
    after = await hive.agent("alice")
    assert (after.step, after.inbox) == (None, 0)
    checks = (await hive.operator.call(api.DOCTOR, NoParams())).checks
    (found,) = [check for check in checks if check.name == "agent alice"]
    assert found.state is CheckState.OK


async def test_a_time_limit_of_the_manifest_ends_the_call(hive: Hive) -> None:
    proposal = await hive.propose("alice", nix(toolTimeout=5))
    assert (await hive.approve(proposal)).error is None
    send = {
        "tool": "mcp__hive__send",
        "input": {"to": "operator", "body": "it was {{result:(timed out)}}"},
    }
    get = {"tool": "mcp__fetch__get", "input": {}}
    before = len(hive.events)
    await hive.send("alice", script(get, send, {"text": "done"}))

    async def late() -> bool | None:
        """By the event, which stays: the step itself is over soon."""
        changes = [one for one in hive.events[before:] if one.kind == "agent.changed"]
        return any(data(one)["what"] == "step" for one in changes) or None

    await hive.until(late, "a late step of alice")
    await hive.answer("alice", "it was timed out")
    await hive.idle("alice")
    assert (await hive.agent("alice")).state is AgentState.IDLE
