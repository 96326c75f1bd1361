"""The commands about the hive as a whole, from ``login`` to ``agents``."""

import argparse
from collections.abc import Sequence

from pyglue.api import operator as api
from pyglue.api.common import NoParams
from pyglue.api.control import BlockReason
from pyglue.api.metrics import MetricsTokenParams
from pyglue.api.overview import AgentView, HiveStatus, Step
from pyglue.cli.output import qr
from pyglue.cli.output.answer import Answer
from pyglue.cli.output.show import table
from pyglue.cli.output.times import lasting, moment, within
from pyglue.jsonrpc import SyncClient
from pyglue.text.display import visible


def metrics_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``metrics-token``."""
    parser.add_argument(
        "--revoke",
        action="store_true",
        help="revoke the current token without issuing a new one",
    )


def agents_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``agents``."""
    parser.add_argument("--names", action="store_true", help="print only their names")


def login_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``login``."""
    parser.add_argument(
        "--qr",
        action=argparse.BooleanOptionalAction,
        help="also print the link as a QR code, or not (default: on a terminal, unless "
        "the link works on this machine only)",
    )


def login(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Print a one-time login link, for another device also as a QR code."""
    result = client.call(api.LOGIN_CODE, NoParams())
    text = f"Open this link once, {within(result.expires_at)}:\n{result.url}"
    if qr.wanted(result.url, arguments.qr):
        text += f"\n\n{qr.drawn(result.url)}"
    return Answer(result, text)


def metrics_token(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Issue or revoke the token for /metrics."""
    params = MetricsTokenParams(revoke=arguments.revoke)
    result = client.call(api.METRICS_TOKEN, params)
    if arguments.revoke:
        return Answer(result, "The token for /metrics is revoked.")
    text = f"Shown only once; the previous token is revoked:\n{result.token}"
    return Answer(result, text)


def status(client: SyncClient, _arguments: argparse.Namespace) -> Answer:
    """Show a summary of the hive."""
    result = client.call(api.STATUS, NoParams())
    rows = [
        ("version", result.version),
        ("backend", result.backend),
        ("isolation", result.isolation),
        ("model", result.model_source),
        *_pause(result),
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


def _pause(status: HiveStatus) -> list[tuple[str, str]]:
    if status.pause is None:
        return []
    reason = f": {visible(status.pause.reason)}" if status.pause.reason else ""
    return [("paused", f"by {status.pause.by} at {moment(status.pause.at)}{reason}")]


def agents(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """List the agents."""
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
