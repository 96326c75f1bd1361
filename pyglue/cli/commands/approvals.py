"""The commands that propose, review and decide."""

import argparse
from collections.abc import Sequence

from pyglue.api import line_comments
from pyglue.api import operator as api
from pyglue.api.approvals import (
    ApprovalParams,
    ApprovalsParams,
    ApproveParams,
    DenyParams,
    RequestChangesParams,
)
from pyglue.api.manager import SpawnParams
from pyglue.cli.commands.command import agent_argument
from pyglue.cli.output.answer import Answer
from pyglue.cli.output.show import KINDS, approval_text, table
from pyglue.cli.output.waiting import ended
from pyglue.jsonrpc import SyncClient
from pyglue.text.display import visible


def approval_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the ID of an approval."""
    parser.add_argument("id", type=int, metavar="ID", help="approval ID")


def approve_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``approve``."""
    approval_arguments(parser)
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
        "--accept",
        action="append",
        default=[],
        type=int,
        metavar="N",
        help="number of a critical change shown by hive approval; needed for each",
    )
    parser.add_argument(
        "--no-wait",
        action="store_true",
        help="do not wait until the operation has finished",
    )


def deny_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``deny``."""
    approval_arguments(parser)
    parser.add_argument(
        "--reason", required=True, metavar="TEXT", help="shown to the proposer"
    )


def request_changes_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``request-changes``."""
    approval_arguments(parser)
    parser.add_argument("--reason", default="", metavar="TEXT", help="general comment")
    parser.add_argument(
        "--comment",
        action="append",
        default=[],
        metavar=line_comments.FORM,
        help="a comment on a line of a proposed file, or on FILE:LINE-LINE; with "
        "@running, @approved or @previous after the line, to comment on a line of "
        "that version, such as a removed one; repeatable",
    )


def spawn_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``spawn`` and ``draft``."""
    agent_argument(parser)
    parser.add_argument(
        "--description", default="", metavar="TEXT", help="what the agent is for"
    )


def approvals(client: SyncClient, _arguments: argparse.Namespace) -> Answer:
    """List proposals."""
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
                row.state.word,
                row.commit[:12],
                str(len(row.widens)),
                visible(row.description, limit=60),
            )
        )
    return Answer(result, table(rows))


def approval(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Show a proposal with its diff."""
    result = client.call(api.APPROVAL, ApprovalParams(id=arguments.id))
    return Answer(result, approval_text(result))


def approve(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Approve what was reviewed, and follow the operation."""
    params = ApproveParams(
        id=arguments.id,
        commit=arguments.commit,
        manifest=arguments.manifest,
        accepted=tuple(arguments.accept),
    )
    number = client.call(api.APPROVE, params).operation
    return ended(client, number, wait=not arguments.no_wait)


def deny(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Deny a proposal."""
    params = DenyParams(id=arguments.id, reason=arguments.reason)
    result = client.call(api.DENY, params)
    return Answer(result, f"Denied approval {arguments.id}.")


def request_changes(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """End a proposal and ask the manager for another."""
    params = RequestChangesParams(
        id=arguments.id,
        text=arguments.reason,
        comments=tuple(line_comments.read(one) for one in arguments.comment),
    )
    result = client.call(api.REQUEST_CHANGES, params)
    text = f"Requested changes to approval {arguments.id}; the manager is informed."
    return Answer(result, text)


def spawn(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Propose a new agent."""
    params = SpawnParams(name=arguments.agent, description=arguments.description)
    result = client.call(api.SPAWN, params)
    text = f"Approval {result.approval} is pending: hive approval {result.approval}"
    return Answer(result, text)
