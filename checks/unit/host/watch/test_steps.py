"""Steps of turns: how a long tool call is shown, and when it is reported."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from checks.kits.host.store import Kit, open_kit, put, steps_of
from checks.kits.patience import PATIENCE_S
from pyglue.api.event_values import AgentChange
from pyglue.api.events import AgentChanged, NotificationPublished
from pyglue.api.inbox import InboxFilter, InboxParams
from pyglue.api.turn_events import ToolCall
from pyglue.api.turns import TurnEventParams
from pyglue.host.core.agent import Agent
from pyglue.host.watch.steps import Steps
from pyglue.names import OPERATOR
from pyglue.store import inboxes
from pyglue.tools.words import doing, words


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    opened = await open_kit(tmp_path)
    put(await opened.agent("alice"), turn=7)
    yield opened
    await opened.store.close()


def steps(kit: Kit, *, late_s: float = 3600.0, long_s: float = 3600.0) -> Steps:
    return steps_of(kit.store, kit.broker, kit.audit, late_s=late_s, long_s=long_s)


def report(steps: Steps, agent: Agent, kind: str, **data: Any) -> None:
    raw = msgspec.Raw(msgspec.json.encode(data))
    steps.reported(agent, TurnEventParams(turn=7, kind=kind, data=raw))


def began(steps: Steps, agent: Agent, call: str = "1", tool: str = "Bash") -> None:
    report(steps, agent, "tool_use", id=call, name=tool, input={"command": "npm test"})


def ended(steps: Steps, agent: Agent, call: str = "1") -> None:
    report(steps, agent, "tool_result", id=call, text="", is_error=False)


def announced(kit: Kit) -> int:
    changes = [event.read() for event in kit.events]
    return changes.count(AgentChanged(what=AgentChange.STEP))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.001)


async def mailed(kit: Kit, count: int) -> list[str]:
    """Return what the operator was sent, once it is so much."""
    async with asyncio.timeout(PATIENCE_S):
        while len(found := await mail(kit)) < count:
            await asyncio.sleep(0)
    return found


async def mail(kit: Kit) -> list[str]:
    """Return what the operator was sent."""
    found = await kit.store.read(
        lambda reader: inboxes.inbox(
            reader, OPERATOR, InboxParams(show=InboxFilter.ALL, limit=50)
        )
    )
    return [one.body for one in found.messages]


@pytest.mark.parametrize(
    ("tool", "given", "text"),
    [
        ("Bash", {"command": "npm test"}, "Bash: npm test"),
        ("Bash", {"command": "\n first\nsecond"}, "Bash: first"),
        ("Read", {"file_path": "/state/a"}, "Read: /state/a"),
        ("Task", {"prompt": "look"}, "Task"),
        ("Bash", {"command": 5}, "Bash"),
        ("Bash", None, "Bash"),
        ("Bash", "rm", "Bash"),
        ("mcp__fetch__get", {"url": "http://x"}, "MCP tool fetch.get"),
        ("mcp__fetch", {}, "mcp__fetch"),
        ("B\x1b[2Jash", {}, "B\\x1b[2Jash"),
        ("Bash", {"command": "a\u202eb"}, "Bash: a\\u202eb"),
        ("Bash", {"command": "x" * 90}, f"Bash: {'x' * 80}…"),
    ],
)
def test_a_call_in_a_few_words(tool: str, given: object, text: str) -> None:
    assert words(ToolCall(id="1", name=tool, input=given)) == text


@pytest.mark.parametrize(
    ("tool", "given", "text"),
    [
        ("Bash", {"command": "git push"}, "runs `git push`"),
        ("Bash", {}, "uses Bash"),
        ("Edit", {"file_path": "/state/a"}, "edits `/state/a`"),
        ("Task", {"prompt": "look"}, "uses Task"),
        ("mcp__hive__ask", {"to": "bob", "question": "?"}, "asks bob"),
        ("mcp__hive__ask", {"question": "?"}, "asks you"),
        ("mcp__hive__send", {"to": "operator", "body": "x"}, "writes to you"),
        ("mcp__hive__send", {"to": "b\u202eb"}, "writes to b\\u202eb"),
        ("mcp__hive__recv", {"wait_seconds": 9}, "waits for messages"),
        ("mcp__hive__whoami", {}, "uses MCP tool hive.whoami"),
        ("mcp__fetch__get", {"url": "http://x"}, "uses MCP tool fetch.get"),
        ("B\x1b[2Jash", {}, "uses B\\x1b[2Jash"),
        ("Bash", {"command": "`x`\nrm"}, "runs ``x``"),
    ],
)
def test_what_an_agent_does_as_a_verb(tool: str, given: object, text: str) -> None:
    assert doing(ToolCall(id="1", name=tool, input=given)) == text


async def test_the_oldest_open_call_is_the_step(kit: Kit) -> None:
    alice, found = kit.registry.get("alice"), steps(kit)
    assert found.current(alice) is None
    began(found, alice, "1", "mcp__fetch__get")
    began(found, alice, "2")
    step = found.current(alice)
    assert step is not None and step.text == "MCP tool fetch.get"
    assert (step.is_long, step.is_late, found.late(alice)) == (False, False, None)
    ended(found, alice, "1")
    step = found.current(alice)
    assert step is not None and step.text == "Bash: npm test"
    assert (step.doing, step.call) == ("runs `npm test`", "2")
    ended(found, alice, "unknown")
    ended(found, alice, "2")
    assert found.current(alice) is None


async def test_a_step_ends_with_its_turn(kit: Kit) -> None:
    alice, found = kit.registry.get("alice"), steps(kit, late_s=0.0)
    began(found, alice)
    assert found.late(alice) is not None
    for turn in (None, 8):
        put(alice, turn=turn)
        assert found.current(alice) is None
        assert found.late(alice) is None
    began(found, alice, "2", "Read")
    step = found.current(alice)
    assert step is not None and step.text == "Read: npm test"
    put(alice, turn=None)
    began(found, alice, "3")  # no turn runs: nothing to follow
    assert found.current(alice) is None


@pytest.mark.parametrize("data", [b"[]", b'{"id": 5}', b'{"name": "Bash"}'])
async def test_what_is_no_call_is_left_out(kit: Kit, data: bytes) -> None:
    alice, found = kit.registry.get("alice"), steps(kit)
    for kind in ("tool_use", "tool_result"):
        params = TurnEventParams(turn=7, kind=kind, data=msgspec.Raw(data))
        found.reported(alice, params)
    assert found.current(alice) is None


async def test_a_flood_of_calls_is_remembered_in_part(kit: Kit) -> None:
    alice, found = kit.registry.get("alice"), steps(kit)
    for number in range(1000):
        began(found, alice, str(number))
    for number in range(64):
        ended(found, alice, str(number))
    assert found.current(alice) is None


async def test_pages_hear_of_a_long_step_and_of_its_end(kit: Kit) -> None:
    alice, found = kit.registry.get("alice"), steps(kit, long_s=0.02)
    began(found, alice, "quick", "Read")
    ended(found, alice, "quick")
    began(found, alice, "slow")
    await until(lambda: announced(kit) == 1)
    step = found.current(alice)
    assert step is not None and step.is_long
    ended(found, alice, "slow")
    await until(lambda: announced(kit) == 2)
    assert await mail(kit) == []


async def test_the_operator_hears_once_of_a_call_without_a_result(kit: Kit) -> None:
    alice, found = kit.registry.get("alice"), steps(kit, long_s=0.01, late_s=0.02)
    began(found, alice, "1", "mcp__fetch__get")
    await until(
        lambda: any(isinstance(e.read(), NotificationPublished) for e in kit.events)
    )
    (text,) = await mailed(kit, 1)
    assert "alice reports a tool call without a result" in text
    assert "“MCP tool fetch.get”" in text
    assert "hive cancel alice" in text
    assert "toolTimeout" in text
    assert found.late(alice) == text
    found._look(alice, found._turns["alice"])
    ended(found, alice, "1")
    began(found, alice, "2")  # another call is another matter
    both = await mailed(kit, 2)
    assert [("toolTimeout" in one) for one in both].count(True) == 1
