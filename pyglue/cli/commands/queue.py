"""The command ``queue``: lists, drops and moves an agent's pending messages."""

import argparse
import time
from typing import Final

from pyglue.api import operator as api
from pyglue.api.queue import QueueChangeParams, QueuedMessage, QueueParams
from pyglue.cli.commands.command import agent_argument
from pyglue.cli.output.answer import Answer
from pyglue.cli.output.show import table
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import SyncClient
from pyglue.text.display import visible

_CLIP: Final = 60
_HEAD: Final = ("ID", "FROM", "AGE", "PRIORITY", "DELIVERIES", "FAILURES", "STATE", "")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``queue``."""
    agent_argument(parser)
    parser.add_argument(
        "action",
        nargs="?",
        choices=("drop", "later"),
        help="drop a message for good, or move it behind all others",
    )
    parser.add_argument("id", metavar="ID", nargs="?", type=int, help="message ID")
    parser.add_argument(
        "--cancel-turn",
        action="store_true",
        help="cancel the turn that is working on the message, and remove the message "
        "from it",
    )


def queue(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """List the queue, drop a message, or move it to the end."""
    name, action, number = arguments.agent, arguments.action, arguments.id
    if action is None:
        found = client.call(api.QUEUE, QueueParams(agent=name, clip=_CLIP))
        rows = [_row(message) for message in found.messages]
        text = table([_HEAD, *rows]) if rows else f"The queue of {name} is empty."
        if found.more:
            text += f"\n{found.more} more"
        return Answer(found, text)
    if number is None:
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            f"Name a message: hive queue {name} {action} ID. `hive queue {name}` "
            "lists their IDs.",
        )
    params = QueueChangeParams(
        agent=name, message=number, cancel_turn=arguments.cancel_turn
    )
    if action == "drop":
        done = client.call(api.QUEUE_DROP, params)
        return Answer(done, f"Dropped message {number}; {name} will not receive it.")
    done = client.call(api.QUEUE_LATER, params)
    return Answer(done, f"Moved message {number} behind all others.")


def _row(message: QueuedMessage) -> tuple[str, ...]:
    where = "queued"
    if message.leased:
        where = "being delivered" if message.turn is None else f"turn {message.turn}"
    why = f" (last failure: {message.reasons[0]})" if message.reasons else ""
    return (
        str(message.id),
        visible(message.sender),
        _age(time.time() - message.sent_at),
        "last" if message.last else message.priority.value,
        str(message.deliveries),
        str(message.failures),
        where,
        visible(f"{message.body}{why}", limit=200),
    )


def _age(seconds: float) -> str:
    """Return an age in its largest unit."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
