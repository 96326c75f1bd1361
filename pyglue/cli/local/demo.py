"""``hive demo``: the scenario of ``make run`` without a browser.

It runs in a temporary directory. The operator asks the manager to change another agent;
the manager, driven by the real CLI, commits and submits the change; it is approved
through the operator's socket; the agent restarts under the new manifest and answers a
question. The demo succeeds only if the answer contains the approved manifest's hash.
"""

import argparse
import asyncio
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from pyglue.api.approvals import (
    ApprovalDetail,
    ApprovalParams,
    ApprovalsParams,
    ApprovalState,
    ApproveParams,
    critical,
)
from pyglue.api.inbox import InboxFilter, InboxParams, OperatorSendParams
from pyglue.api.manager import AgentParams
from pyglue.api.messages import Message
from pyglue.api.operations import OperationParams, OperationState
from pyglue.api.operator import (
    AGENT,
    APPROVAL,
    APPROVALS,
    APPROVE,
    INBOX,
    OPERATION,
    OPERATOR_SEND,
)
from pyglue.cli.local.configure import LocalOptions
from pyglue.cli.local.launcher import LocalHive
from pyglue.cli.output import follow
from pyglue.demo import story
from pyglue.demo.story import Story
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import SyncClient

_OPERATION_S: Final = 120.0


class Step(msgspec.Struct, frozen=True):
    """One event, ``seconds`` after the demo began."""

    name: str
    seconds: float
    detail: str


class Outcome(msgspec.Struct, frozen=True):
    """The whole demo, as ``--json`` prints it."""

    ok: bool
    seconds: float
    steps: tuple[Step, ...]
    error: str | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``hive demo``; every command has ``--json``."""
    parser.add_argument(
        "--keep", type=Path, help="keep the hive's state in this new directory"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; return 0 only if the agent actually answered."""
    telling = _Telling(quiet=arguments.json)
    with tempfile.TemporaryDirectory(prefix="hive-demo-") as temporary:
        Path(temporary).chmod(0o711)
        state = arguments.keep or Path(temporary) / "state"
        error = asyncio.run(_play(state, telling))
    outcome = telling.outcome(error)
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(outcome).decode() + "\n")
    elif error is not None:
        sys.stderr.write(f"hive: the demo failed: {error}\n")
    else:
        sys.stdout.write("The agent answered under the new manifest.\n")
    return 0 if outcome.ok else 1


class _Telling:
    """Collects the steps and prints each as it happens."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._begun = time.monotonic()
        self._steps: list[Step] = []

    def step(self, name: str, detail: str) -> None:
        seconds = round(time.monotonic() - self._begun, 3)
        self._steps.append(Step(name, seconds, detail))
        if not self._quiet:
            sys.stdout.write(f"{seconds:7.2f} s  {name:<10} {detail}\n")
            sys.stdout.flush()

    def outcome(self, error: str | None) -> Outcome:
        seconds = round(time.monotonic() - self._begun, 3)
        return Outcome(error is None, seconds, tuple(self._steps), error)


async def _play(state: Path, telling: _Telling) -> str | None:
    plot = story.load()
    hive = LocalHive(
        options=LocalOptions(
            state=state,
            port=_free_port(),
            api_key=None,
            script=story.PATH,
            agents=plot.agents,
        ),
        say=lambda _text: None,
    )
    try:
        await hive.start()
        telling.step("start", "hived, hive-relay, hive-web and the model are running")
        await asyncio.to_thread(_act, hive, plot, telling.step)
    except HiveError as error:
        return error.message
    finally:
        await hive.stop()
    return None


def _act(hive: LocalHive, plot: Story, step: Callable[[str, str], None]) -> None:
    client = SyncClient(hive.config.layout.operator_socket, client="hive", timeout=180)
    try:
        follow.agents_known(client, plot.agents)
        follow.agents_idle(client, plot.agents)
        step("agents", f"{', '.join(plot.agents)} are running and waiting for messages")
        client.call(OPERATOR_SEND, OperatorSendParams(to=plot.asked, body=plot.request))
        step("request", f"operator → {plot.asked}: {plot.request}")
        detail = _proposal(client, plot)
        seen = detail.approval
        step(
            "proposal",
            f"approval {seen.id}: commit {seen.commit[:12]}, {seen.description}",
        )
        for change in detail.policy:
            step("policy", f"{change.effect.value}: {change.sentence}")
        _approve(client, detail)
        step(
            "deployed", f"{plot.agent} runs under manifest {seen.manifest_sha256[:12]}"
        )
        client.call(
            OPERATOR_SEND, OperatorSendParams(to=plot.agent, body=plot.question)
        )
        step("question", f"operator → {plot.agent}: {plot.question}")
        answer = _answer(client, plot, seen.manifest_sha256)
        step("answer", f"{plot.agent} → operator: {answer.body}")
    finally:
        client.close()


def _proposal(client: SyncClient, plot: Story) -> ApprovalDetail:
    def look() -> ApprovalDetail | None:
        wanted = ApprovalsParams(state=ApprovalState.PENDING, agent=plot.agent)
        found = client.call(APPROVALS, wanted).approvals
        if not found:
            return None
        return client.call(APPROVAL, ApprovalParams(id=found[0].id))

    return follow.until(client, look, what="the manager's proposal")


def _approve(client: SyncClient, detail: ApprovalDetail) -> None:
    seen = detail.approval
    approve = ApproveParams(
        id=seen.id,
        commit=seen.commit,
        manifest=seen.manifest_sha256,
        accepted=critical(detail.policy),
    )
    number = client.call(APPROVE, approve).operation
    operation = client.call(
        OPERATION, OperationParams(id=number, wait_seconds=_OPERATION_S)
    )
    if operation.state is not OperationState.DONE or operation.error is not None:
        raise HiveError(
            ErrorCode.DEPLOY_FAILED, f"The deploy failed: {operation.error}"
        )
    running = client.call(AGENT, AgentParams(agent=seen.agent)).agent
    if running.manifest_sha256 != seen.manifest_sha256:
        raise HiveError(
            ErrorCode.DEPLOY_FAILED, "The agent is not running the approved manifest."
        )


def _answer(client: SyncClient, plot: Story, manifest: str) -> Message:
    every = InboxParams(show=InboxFilter.ALL)

    def look() -> Message | None:
        for message in client.call(INBOX, every).messages:
            if message.sender == plot.agent and manifest in message.body:
                return message
        return None

    return follow.until(client, look, what=f"an answer of {plot.agent}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
