"""The commands for an agent's life: drafts, destroy, restore, purge, rollback.

Irreversible commands list what will be removed and ask for the agent's name on a
terminal; elsewhere they require ``--yes``.
"""

import argparse
import datetime
import sys
from collections.abc import Sequence

from pyglue.api import operator as api
from pyglue.api.approvals import ApprovalParams, CompareParams
from pyglue.api.common import NoParams
from pyglue.api.lifecycle import PurgeParams, RollbackParams
from pyglue.api.manager import REBUILD, AgentParams, SpawnParams
from pyglue.api.operations import CancelOperationParams
from pyglue.cli.commands.command import agent_argument
from pyglue.cli.output.answer import Answer
from pyglue.cli.output.show import comparison_text, table
from pyglue.cli.output.waiting import ended
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import SyncClient
from pyglue.text.display import visible


def certain_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare an agent's name and ``--yes``."""
    agent_argument(parser)
    parser.add_argument("--yes", action="store_true", help="skip the confirmation")


def cancel_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``cancel-operation``."""
    parser.add_argument("id", type=int, metavar="ID", help="operation ID")
    parser.add_argument(
        "--reason", default="", metavar="TEXT", help="shown with the operation"
    )


def rollback_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``rollback``."""
    agent_argument(parser)
    parser.add_argument(
        "approval",
        metavar="APPROVAL",
        type=int,
        help="ID of the approval to deploy again",
    )


def compare_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``compare``."""
    agent_argument(parser)
    for name, which in (("old", "the first"), ("new", "the second")):
        parser.add_argument(
            name,
            metavar=name.upper(),
            type=int,
            help=f"ID of the approval that pinned {which} version",
        )


def retry_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the argument of ``retry``."""
    parser.add_argument("id", type=int, metavar="APPROVAL", help="failed approval's ID")


def drafts(client: SyncClient, _arguments: argparse.Namespace) -> Answer:
    """List the drafts."""
    result = client.call(api.DRAFTS, NoParams())
    rows: list[Sequence[str]] = [("NAME", "BY", "SINCE", "APPROVAL", "")]
    for one in result.drafts:
        waits = "-" if one.pending_approval is None else str(one.pending_approval)
        summary = visible(one.description, limit=60)
        rows.append((one.name, one.by, _day(one.created_at), waits, summary))
    return Answer(result, table(rows) if result.drafts else "There are no drafts.")


def draft(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Create a draft."""
    params = SpawnParams(name=arguments.agent, description=arguments.description)
    result = client.call(api.DRAFT, params)
    text = (
        f"Created the draft {result.name}. The manager edits it in "
        f"/agents/{result.name}/config, then requests the agent."
    )
    return Answer(result, text)


def discard(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Discard a draft."""
    name = arguments.agent
    gone = f"This discards the draft {name} with its repository and state."
    _certain(name, gone, yes=arguments.yes)
    number = client.call(api.DRAFT_DISCARD, AgentParams(agent=name)).operation
    return ended(client, number)


def kept(client: SyncClient, _arguments: argparse.Namespace) -> Answer:
    """List the kept state of destroyed agents."""
    result = client.call(api.KEPT, NoParams())
    rows: list[Sequence[str]] = [("NAME", "DESTROYED", "BY", "SIZE", "QUEUED", "")]
    for one in result.kept:
        size, messages = _size(one.bytes), str(one.messages)
        summary = visible(one.description, limit=60)
        rows.append((one.name, _day(one.destroyed_at), one.by, size, messages, summary))
    return Answer(result, table(rows) if result.kept else "There is no kept state.")


def destroy(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Destroy an agent; its state is kept."""
    name = arguments.agent
    found = client.call(api.AGENT, AgentParams(agent=name)).agent
    gone = (
        f"This destroys {name}: its container, sockets, open questions and reminders, "
        "and pending proposals for it. Kept until purged: its repositories, state, "
        f"session and {found.inbox} queued messages."
    )
    _certain(name, gone, yes=arguments.yes)
    number = client.call(api.DESTROY, AgentParams(agent=name)).operation
    return ended(client, number)


def restore(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Propose to restore a destroyed agent."""
    result = client.call(api.RESTORE, AgentParams(agent=arguments.agent))
    text = f"Approval {result.approval} is pending: hive approval {result.approval}"
    return Answer(result, text)


def purge(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Delete the kept state of an agent."""
    name = arguments.agent
    for one in client.call(api.KEPT, NoParams()).kept:
        if one.name == name:
            parts = [f"  {_size(p.bytes):>9}  {p.what}: {p.path}" for p in one.parts]
            gone = (
                f"This permanently deletes, with {one.messages} queued messages:\n"
                + "\n".join(parts)
            )
            _certain(name, gone, yes=arguments.yes)
    params = PurgeParams(agent=name, confirm=name)
    return ended(client, client.call(api.PURGE, params).operation)


def rollback(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Deploy an earlier approval again."""
    params = RollbackParams(agent=arguments.agent, approval=arguments.approval)
    return ended(client, client.call(api.ROLLBACK, params).operation)


def compare(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Show what differs between two versions."""
    params = CompareParams(agent=arguments.agent, old=arguments.old, new=arguments.new)
    result = client.call(api.COMPARE, params)
    return Answer(result, comparison_text(result))


def retry(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Deploy a failed approval once more."""
    params = ApprovalParams(id=arguments.id)
    return ended(client, client.call(api.RETRY, params).operation)


def rebuild(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Rebuild one agent, or all."""
    if bool(arguments.agent) == arguments.all:
        raise HiveError(ErrorCode.BAD_REQUEST, "Name one agent, or use --all.")
    if arguments.all:
        number = client.call(api.REBUILD_ALL, NoParams()).operation
    else:
        made = client.call(REBUILD, AgentParams(agent=arguments.agent))
        if made.operation is None:
            text = (
                f"{arguments.agent} would run a different system. Approval "
                f"{made.approval} shows the differences: hive approval {made.approval}"
            )
            return Answer(made, text)
        number = made.operation
    return ended(client, number)


def operations(client: SyncClient, _arguments: argparse.Namespace) -> Answer:
    """List the newest operations."""
    result = client.call(api.OPERATIONS, NoParams())
    rows: list[Sequence[str]] = [
        ("ID", "AGENT", "KIND", "STATE", "STEP", "BY", "SINCE", "")
    ]
    for one in result.operations:
        summary = visible(" ".join((one.error or one.note).split()), limit=60)
        who, since = visible(one.requested_by), _day(one.created_at)
        kind, state = one.kind.value, one.state.value
        rows.append(
            (str(one.id), one.agent, kind, state, one.step, who, since, summary)
        )
    return Answer(
        result, table(rows) if result.operations else "There are no operations."
    )


def cancel_operation(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Cancel a queued or building operation, and wait until it has ended."""
    params = CancelOperationParams(id=arguments.id, reason=arguments.reason)
    client.call(api.CANCEL_OPERATION, params)
    answer = ended(client, arguments.id)
    return Answer(answer.result, answer.text)


def _certain(name: str, gone: str, *, yes: bool) -> None:
    """Return if the operator confirms.

    Raises:
        HiveError: ``bad_request`` without confirmation, or without a terminal.
    """
    if yes:
        return
    lines = "\n".join(visible(line, limit=4096) for line in gone.split("\n"))
    if not sys.stdin.isatty():
        raise HiveError(ErrorCode.BAD_REQUEST, f"{lines}\nUse --yes to confirm.")
    sys.stderr.write(f"{lines}\nType the name {name} to confirm: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != name:
        raise HiveError(ErrorCode.BAD_REQUEST, "Cancelled; nothing was changed.")


def _day(at: float) -> str:
    return f"{datetime.datetime.fromtimestamp(at, datetime.UTC):%Y-%m-%d %H:%M}Z"


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
