"""Kill -9 hived in a turn and in a deploy: nothing is lost, everything ends."""

import asyncio
import sys
from pathlib import Path

import pytest

from checks.hive_kit import Hive, running_hive, script
from pyglue.api import operator as api
from pyglue.api.common import AgentState
from pyglue.api.operator import ApprovalState
from pyglue.config import Timeouts, dump

pytestmark = pytest.mark.needs("nix", "git", "bwrap")

NIX = '{ hyperhive.description = "after the crash"; }'
TIMEOUTS = Timeouts(health_s=30.0, drain_s=2.0)


async def test_kill_in_a_turn_loses_no_message(tmp_path: Path) -> None:
    async with running_hive(tmp_path, agents=("alice",), timeouts=TIMEOUTS) as hive:
        slow = script(
            {"sleep": 1.5, "tool": "mcp__hive__whoami", "input": {}},
            {
                "tool": "mcp__hive__send",
                "input": {"to": "operator", "body": "processed the first"},
            },
            {"text": "done"},
        )
        await hive.send("alice", slow)

        async def thinking() -> bool | None:
            state = (await hive.agent("alice")).state
            return True if state is AgentState.THINKING else None

        await hive.until(thinking, "a turn")
        await hive.kill_hived()
        await hive.answer("alice", "processed the first")
        flow = await hive.operator.call(api.MESSAGES, api.MessagesParams())
        assert any(message.body == slow for message in flow.messages)
        await hive.idle("alice")

        async def empty() -> bool | None:
            return True if (await hive.agent("alice")).inbox == 0 else None

        await hive.until(empty, "the acknowledgement")


@pytest.mark.parametrize("step", ["tag", "prepare", "drain", "apply", "finish"])
async def test_kill_in_a_deploy_ends_it(tmp_path: Path, step: str) -> None:
    async with running_hive(tmp_path, agents=("alice",), timeouts=TIMEOUTS) as hive:
        proposal = await hive.propose("alice", NIX)
        await hive.operator.call(
            api.APPROVE,
            api.ApproveParams(
                id=proposal.approval,
                commit=proposal.commit,
                manifest=proposal.manifest_sha256,
            ),
        )

        async def reached() -> bool | None:
            steps = [
                event.data["step"]
                for event in hive.events
                if event.kind == "operation.changed"
                and event.data["approval"] == proposal.approval
            ]
            return True if step in steps else None

        await hive.until(reached, f"the step {step}")
        await hive.kill_hived()

        async def ended() -> api.ApprovalSummary | None:
            row = (await hive.approvals("alice"))[0]
            ends = (ApprovalState.DEPLOYED, ApprovalState.FAILED)
            return row if row.state in ends else None

        row = await hive.until(ended, "the end of the deploy")
        assert row.state is ApprovalState.DEPLOYED
        await hive.idle("alice")
        agent = await hive.agent("alice")
        assert agent.manifest_sha256 == proposal.manifest_sha256
        await _answers(hive)


async def _answers(hive: Hive) -> None:
    steps = (
        {"tool": "mcp__hive__send", "input": {"to": "operator", "body": "here"}},
        {"text": "done"},
    )
    await hive.send("alice", script(*steps))
    await hive.answer("alice", "here")


async def test_a_second_hived_is_refused(tmp_path: Path) -> None:
    async with running_hive(tmp_path, agents=("alice",), timeouts=TIMEOUTS) as hive:
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
        assert b"Another hived uses" in errors
        assert b"Traceback" not in errors
        await _answers(hive)
