"""The commands that call hived: one call each, printed as text or as JSON."""

import argparse
import datetime
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from pyglue.api import operator as api
from pyglue.api.approvals import (
    ApprovalParams,
    ApprovalsParams,
    ApproveParams,
    DenyParams,
)
from pyglue.api.common import NoParams
from pyglue.api.control import BlockReason
from pyglue.api.doctor import CheckState
from pyglue.api.manager import RESTART, START, STOP, AgentParams, SpawnParams
from pyglue.api.messages import InboxParams, OperatorSendParams
from pyglue.api.overview import AgentView, Step
from pyglue.api.telemetry import MetricsTokenParams
from pyglue.cli.commands import (
    archive,
    control,
    exposure,
    life,
    queue,
    secret,
    wakeups,
)
from pyglue.cli.output.answer import Answer
from pyglue.cli.output.show import KINDS, approval_text, table
from pyglue.cli.output.spinner import SpinnerClient
from pyglue.cli.output.times import lasting, moment, within
from pyglue.cli.output.waiting import ended
from pyglue.display import visible
from pyglue.jsonrpc import SyncClient

_CALL_S: Final = 930.0
"""An evaluation may take long; hived's own timeouts are shorter."""
_REPAIR_S: Final = 600.0
_TEXT_MAX: Final = 2000


@dataclass(frozen=True)
class Command:
    """A command: its arguments and its call."""

    name: str
    about: str
    declare: Callable[[argparse.ArgumentParser], None]
    call: Callable[[SyncClient, argparse.Namespace], Answer]


def run(command: Command, socket: Path, arguments: argparse.Namespace) -> int:
    """Call hived and print the answer.

    Raises:
        HiveError: hived refused, or does not answer.
    """
    client = SpinnerClient(socket, timeout=_CALL_S)
    answer = command.call(client, arguments)
    client.close()
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(answer.result).decode() + "\n")
    else:
        sys.stdout.write(answer.text + "\n")
    return answer.code


# --- arguments --------------------------------------------------------------------


def _nothing(parser: argparse.ArgumentParser) -> None:
    del parser


def _agent(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("agent", metavar="NAME", help="agent name")


def _id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=int, metavar="ID", help="approval ID")


def _agents_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--names", action="store_true", help="print only their names")


def _approve_arguments(parser: argparse.ArgumentParser) -> None:
    _id(parser)
    parser.add_argument(
        "--commit",
        required=True,
        metavar="SHA",
        help="commit SHA shown by hive approval",
    )
    parser.add_argument(
        "--manifest",
        required=True,
        metavar="HASH",
        help="manifest hash shown by hive approval",
    )
    parser.add_argument(
        "--no-wait",
        action="store_true",
        help="do not wait until the operation has finished",
    )


def _deny_arguments(parser: argparse.ArgumentParser) -> None:
    _id(parser)
    parser.add_argument(
        "--reason", required=True, metavar="TEXT", help="shown to the proposer"
    )


def _send_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("to", metavar="TO", help="agent name")
    parser.add_argument(
        "body", metavar="TEXT", help="text of the message; - reads standard input"
    )


def _inbox_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--full", action="store_true", help="print long messages to their end"
    )


def _spawn_arguments(parser: argparse.ArgumentParser) -> None:
    _agent(parser)
    parser.add_argument(
        "--description", default="", metavar="TEXT", help="what the agent is for"
    )


def _metrics_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--revoke",
        action="store_true",
        help="revoke the current token without issuing a new one",
    )


# --- calls ------------------------------------------------------------------------


def _login(client: SyncClient, _arguments: argparse.Namespace) -> Answer:
    result = client.call(api.LOGIN_CODE, NoParams())
    return Answer(
        result, f"Open this link once, {within(result.expires_at)}:\n{result.url}"
    )


def _metrics_token(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    params = MetricsTokenParams(revoke=arguments.revoke)
    result = client.call(api.METRICS_TOKEN, params)
    if arguments.revoke:
        return Answer(result, "The token for /metrics is revoked.")
    text = f"Shown only once; the previous token is revoked:\n{result.token}"
    return Answer(result, text)


def _status(client: SyncClient, _arguments: argparse.Namespace) -> Answer:
    result = client.call(api.STATUS, NoParams())
    rows = [
        ("version", result.version),
        ("backend", result.backend),
        ("isolation", result.isolation),
        ("model", result.model_source),
        *(
            ("limit", f"{visible(one.words)}, resets {moment(one.resets_at)}")
            for one in result.windows
        ),
        ("agents", f"{result.running} of {result.agents} running"),
        ("approvals", f"{result.pending_approvals} pending"),
        ("questions", f"{result.open_questions} open"),
        ("inbox", f"{result.unread} unread"),
        *(
            ("step", f"{agent.name}: {visible(_step(agent.step))}")
            for agent in client.call(api.AGENTS, NoParams()).agents
            if agent.step is not None and agent.step.is_long
        ),
        *(("WARNING", warning) for warning in result.warnings),
    ]
    return Answer(result, table(rows))


def _agents(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    result = client.call(api.AGENTS, NoParams())
    if arguments.names:
        return Answer(result, "\n".join(agent.name for agent in result.agents))
    rows: list[Sequence[str]] = [("NAME", "STATE", "MODEL", "INBOX", "MANIFEST", "")]
    for agent in result.agents:
        rows.append(
            (
                agent.name,
                agent.state.value,
                agent.model,
                str(agent.inbox),
                (agent.manifest_sha256 or "-")[:12],
                visible(agent.problem or _why(agent)),
            )
        )
    return Answer(result, table(rows))


def _step(step: Step) -> str:
    return f"{step.text}, {lasting(step.since_at)}"


def _why(agent: AgentView) -> str:
    """Return why the agent runs no turn, else what it does."""
    if agent.blocked is None or agent.blocked.reason is BlockReason.STOPPED:
        step = "" if agent.step is None else _step(agent.step)
        return " ".join(filter(None, (agent.detail, step)))
    return f"{agent.blocked.text} {agent.blocked.remedy}"


def _approvals(client: SyncClient, _arguments: argparse.Namespace) -> Answer:
    result = client.call(api.APPROVALS, ApprovalsParams())
    rows: list[Sequence[str]] = [
        ("ID", "AGENT", "KIND", "STATE", "COMMIT", "WIDENS", "")
    ]
    for row in result.approvals:
        rows.append(
            (
                str(row.id),
                row.agent,
                KINDS[row.kind],
                row.state.value,
                row.commit[:12],
                str(len(row.widens)),
                visible(row.description, limit=60),
            )
        )
    return Answer(result, table(rows))


def _approval(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    result = client.call(api.APPROVAL, ApprovalParams(id=arguments.id))
    return Answer(result, approval_text(result))


def _approve(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    params = ApproveParams(
        id=arguments.id, commit=arguments.commit, manifest=arguments.manifest
    )
    number = client.call(api.APPROVE, params).operation
    return ended(client, number, wait=not arguments.no_wait)


def _deny(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    params = DenyParams(id=arguments.id, reason=arguments.reason)
    result = client.call(api.DENY, params)
    return Answer(result, f"Denied approval {arguments.id}.")


def _send(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    params = OperatorSendParams(to=arguments.to, body=arguments.body)
    result = client.call(api.OPERATOR_SEND, params)
    return Answer(result, f"Sent message {result.id} to {arguments.to}.")


def _inbox(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    whole = arguments.full or arguments.json
    params = InboxParams(clip=None if whole else _TEXT_MAX)
    result = client.call(api.INBOX, params)
    blocks = []
    for entry in reversed(result.messages):
        message = entry.message
        at = datetime.datetime.fromtimestamp(message.sent_at, datetime.UTC)
        unread = "" if entry.read else " · unread"
        head = f"[{message.id}] {message.sender} · {at:%Y-%m-%d %H:%M:%S}Z{unread}"
        size = len(message.body)
        body = "\n".join(visible(line, limit=size) for line in message.body.split("\n"))
        more = message.left_out
        rest = f"\n… {more} more characters: hive inbox --full" if more else ""
        blocks.append(f"{head}\n{body}{rest}")
    return Answer(result, "\n\n".join(blocks) or "The inbox is empty.")


def _spawn(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    params = SpawnParams(name=arguments.agent, description=arguments.description)
    result = client.call(api.SPAWN, params)
    text = f"Approval {result.approval} is pending: hive approval {result.approval}"
    return Answer(result, text)


def _start(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    params = AgentParams(agent=arguments.agent)
    return ended(client, client.call(START, params).operation)


def _stop(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    params = AgentParams(agent=arguments.agent)
    return ended(client, client.call(STOP, params).operation)


def _restart(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    params = AgentParams(agent=arguments.agent)
    return ended(client, client.call(RESTART, params).operation)


def _doctor_arguments(parser: argparse.ArgumentParser) -> None:
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--repair", action="store_true", help="repair inconsistencies")
    chosen.add_argument(
        "--exposure",
        action="store_true",
        help="list every listener, who can reach it, and the user it runs as",
    )
    parser.add_argument(
        "--from-git",
        action="store_true",
        help="with --repair, while no hive runs: rebuild a lost or damaged store",
    )
    parser.add_argument(
        "--yes", action="store_true", help="with --from-git: do not ask"
    )


def _repair(client: SyncClient) -> Answer:
    result = client.call(api.REPAIR, NoParams(), timeout=_REPAIR_S)
    lines = [f"REPAIRED  {visible(line, limit=_TEXT_MAX)}" for line in result.done]
    lines += [f"FAILED    {visible(line, limit=_TEXT_MAX)}" for line in result.failed]
    text = "\n".join(lines) or "There is nothing to repair."
    return Answer(result, text, int(bool(result.failed)))


def _doctor(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    if arguments.repair:
        return _repair(client)
    if arguments.exposure:
        return exposure.exposure(client)
    result = client.call(api.DOCTOR, NoParams())
    rows = []
    for check in result.checks:
        rows.append((check.state.value.upper(), check.name, visible(check.message)))
        if check.repair is not None:
            would = f"hive doctor --repair would {visible(check.repair)}."
            rows.append(("", "", would))
    bad = any(check.state is CheckState.PROBLEM for check in result.checks)
    return Answer(result, table(rows), int(bad))


COMMANDS: Final = (
    Command("login", "print a one-time login link for the dashboard", _nothing, _login),
    Command(
        "metrics-token",
        "issue or revoke the token for /metrics",
        _metrics_arguments,
        _metrics_token,
    ),
    Command("status", "show a summary of the hive", _nothing, _status),
    Command("agents", "list the agents", _agents_arguments, _agents),
    Command("approvals", "list proposals, newest first", _nothing, _approvals),
    Command("approval", "show a proposal with its diff", _id, _approval),
    Command(
        "approve",
        "approve the proposal that you reviewed",
        _approve_arguments,
        _approve,
    ),
    Command("deny", "deny a proposal with a reason", _deny_arguments, _deny),
    Command("send", "send a message to an agent", _send_arguments, _send),
    Command("inbox", "show the operator's inbox", _inbox_arguments, _inbox),
    Command("spawn", "propose a new agent", _spawn_arguments, _spawn),
    Command("start", "start an agent", _agent, _start),
    Command("stop", "stop an agent", _agent, _stop),
    Command("restart", "restart an agent", _agent, _restart),
    Command(
        "pause",
        "pause an agent, or the whole hive (no new turns)",
        control.pause_arguments,
        control.pause,
    ),
    Command(
        "resume",
        "resume an agent, or the whole hive",
        control.one_or_all,
        control.resume,
    ),
    Command(
        "cancel", "cancel the running turn", control.cancel_arguments, control.cancel
    ),
    Command(
        "queue",
        "list an agent's queued messages; drop one, or move it to the end",
        queue.arguments,
        queue.queue,
    ),
    Command("compact", "compact an agent's conversation", _agent, control.compact),
    Command(
        "new-session",
        "let an agent go on in a new session",
        _agent,
        control.new_session,
    ),
    Command(
        "model",
        "show or change an agent's model",
        control.model_arguments,
        control.model,
    ),
    Command("secret", "list, set or remove secrets", secret.arguments, secret.secret),
    Command("wakeups", "show what wakes an agent, and when", _agent, wakeups.wakeups),
    Command("drafts", "list agents in draft", _nothing, life.drafts),
    Command("draft", "create a draft for a new agent", _spawn_arguments, life.draft),
    Command("discard", "discard a draft", life.certain_arguments, life.discard),
    Command("kept", "list the kept state of destroyed agents", _nothing, life.kept),
    Command(
        "destroy",
        "destroy an agent; its state is kept until purged",
        life.certain_arguments,
        life.destroy,
    ),
    Command("restore", "propose to restore a destroyed agent", _agent, life.restore),
    Command(
        "purge",
        "permanently delete the kept state of a destroyed agent",
        life.certain_arguments,
        life.purge,
    ),
    Command(
        "rollback",
        "deploy an earlier approval again",
        life.rollback_arguments,
        life.rollback,
    ),
    Command(
        "retry",
        "deploy a failed approval once more",
        life.retry_arguments,
        life.retry,
    ),
    Command(
        "rebuild",
        "rebuild the deployed systems, unchanged",
        control.one_or_all,
        life.rebuild,
    ),
    Command(
        "operations",
        "list operations, newest first",
        _nothing,
        life.operations,
    ),
    Command(
        "cancel-operation",
        "cancel a queued or building operation",
        life.cancel_arguments,
        life.cancel_operation,
    ),
    Command(
        "export",
        "export an agent to a file",
        archive.export_arguments,
        archive.export,
    ),
    Command(
        "import",
        "import an agent from a file",
        archive.import_arguments,
        archive.import_agent,
    ),
    Command(
        "backup",
        "back up the whole hive to a file while it runs",
        archive.backup_arguments,
        archive.backup,
    ),
    Command(
        "doctor",
        "diagnose problems; --repair: repair inconsistencies",
        _doctor_arguments,
        _doctor,
    ),
)
