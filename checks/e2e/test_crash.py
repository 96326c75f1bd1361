"""Kill -9 hived in a turn and in a deploy: nothing is lost, everything ends."""

import asyncio
import contextlib
import os
import signal
import sys

import pytest

from checks.kits.api.events import data
from checks.kits.host.hive import Hive, harnesses, script
from checks.kits.host.shared_hive import shared_hive
from checks.kits.process.processes import mounts
from pyglue.api import operator as api
from pyglue.api.approvals import ApprovalState, ApprovalSummary, ApproveParams
from pyglue.api.common import AgentState
from pyglue.api.inbox import MessagesParams
from pyglue.config import Timeouts, dump
from pyglue.store.agents import LOST

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nix", "git", "bwrap"),
]

NIX = '{ hyperhive.description = "killed at %s"; }'
TIMEOUTS = Timeouts(health_s=120.0, drain_s=2.0)


hive = shared_hive(timeouts=TIMEOUTS, real=("alice",))


async def test_kill_in_a_turn_loses_no_message(hive: Hive) -> None:
    slow = script(
        {"sleep": 1.5, "tool": "mcp__hive__whoami", "input": {}},
        {
            "tool": "mcp__hive__send",
            "input": {"to": "operator", "body": "processed the first"},
        },
        {"text": "done"},
    )
    await hive.send("alice", slow)
    await _state(hive, AgentState.THINKING)
    await hive.kill_hived()
    await hive.answer("alice", "processed the first")
    flow = await hive.operator.call(api.MESSAGES, MessagesParams())
    assert any(message.body == slow for message in flow.messages)

    async def empty() -> bool | None:
        return True if (await hive.agent("alice")).inbox == 0 else None

    await hive.until(empty, "the acknowledgement")


async def test_kill_when_a_message_has_joined_a_turn_delivers_it_again(
    hive: Hive,
) -> None:
    await hive.idle("alice")
    turn = script(
        {"sleep": 0.5, "tool": "mcp__hive__whoami", "input": {}},
        {"sleep": 1.5, "tool": "mcp__hive__whoami", "input": {}},
        {"text": "done"},
    )
    await hive.send("alice", turn)
    await _state(hive, AgentState.THINKING)
    joins = await hive.send("alice", _says("it joined"))

    async def joined() -> bool | None:
        delivered = [e for e in hive.events if e.kind == "message.delivered"]
        return any(data(e)["id"] == joins for e in delivered) or None

    await hive.until(joined, "its delivery")
    await hive.kill_hived()
    await hive.answer("alice", "it joined")
    await hive.idle("alice")
    found = (await hive.operator.call(api.MESSAGES, MessagesParams())).messages
    assert next(one for one in found if one.id == joins).redelivered
    assert (await hive.agent("alice")).inbox == 0


def _says(text: str) -> str:
    tell = {"tool": "mcp__hive__send", "input": {"to": "operator", "body": text}}
    return script(tell, {"text": "done"})


async def _state(hive: Hive, state: AgentState) -> None:
    async def reached() -> bool | None:
        return True if (await hive.agent("alice")).state is state else None

    await hive.until(reached, state)


async def _answers(hive: Hive, text: str) -> None:
    await hive.send("alice", _says(text))
    await hive.answer("alice", text)


async def test_a_second_hived_is_refused(hive: Hive) -> None:
    config = hive.state / "second.json"
    config.write_bytes(dump(hive.local.config))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "pyglue.host.main",
        "--config",
        str(config),
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert b"Another hived is using" in errors
    assert b"Traceback" not in errors
    await _answers(hive, "still here")


async def test_a_killed_agent_comes_back_with_its_mail(hive: Hive) -> None:
    async def turn() -> int | None:
        return (await hive.agent("alice")).turn

    before = await hive.agent("alice")
    slow = script(
        {"sleep": 5, "tool": "mcp__hive__whoami", "input": {}},
        {"tool": "mcp__hive__send", "input": {"to": "operator", "body": "revived"}},
        {"text": "done"},
    )
    await hive.send("alice", slow)
    await _state(hive, AgentState.THINKING)
    await hive.until(turn, "the beginning of the turn")
    told = len(hive.events)
    killed = _harnesses(hive, "alice")
    assert killed
    for process in killed:
        with contextlib.suppress(ProcessLookupError):  # it ended with its sandbox
            os.kill(process, signal.SIGKILL)
    await hive.answer("alice", "revived")
    ended = [e for e in hive.events[told:] if e.kind == "turn.ended"]
    assert ("alice", LOST) in [(e.agent, data(e)["reason"]) for e in ended]
    after = await hive.agent("alice")
    assert after.manifest_sha256 == before.manifest_sha256


def _harnesses(hive: Hive, name: str) -> list[int]:
    """Return what runs in an agent's sandbox as the harness."""
    return [
        pid for pid in harnesses(hive.local) if f"/agents/{name}/state " in mounts(pid)
    ]


# --- in a deploy: which harness an agent has makes no difference ------------------


peers = shared_hive(timeouts=TIMEOUTS, peers=True)


@pytest.mark.parametrize("step", ["tag", "prepare", "drain", "apply", "finish"])
async def test_kill_in_a_deploy_ends_it(peers: Hive, step: str) -> None:
    proposal = await peers.propose("alice", NIX % step)
    await peers.operator.call(
        api.APPROVE,
        ApproveParams(
            id=proposal.approval,
            commit=proposal.commit,
            manifest=proposal.manifest_sha256,
        ),
    )

    async def reached() -> bool | None:
        steps = [
            data(event)["step"]
            for event in peers.events
            if event.kind == "operation.changed"
            and data(event)["approval"] == proposal.approval
        ]
        return True if step in steps else None

    await peers.until(reached, f"the step {step}")
    await peers.kill_hived()

    async def ended() -> ApprovalSummary | None:
        row = (await peers.approvals("alice"))[0]
        ends = (ApprovalState.DEPLOYED, ApprovalState.FAILED)
        return row if row.state in ends else None

    row = await peers.until(ended, "the end of the deploy")
    assert row.state is ApprovalState.DEPLOYED
    await peers.idle("alice")
    agent = await peers.agent("alice")
    assert agent.manifest_sha256 == proposal.manifest_sha256
    await _answers(peers, f"here after {step}")
