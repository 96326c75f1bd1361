"""The commands that send messages and read the operator's inbox."""

import argparse
import datetime
from typing import Final

from pyglue.api import operator as api
from pyglue.api.inbox import InboxParams, OperatorSendParams
from pyglue.api.messages import Priority
from pyglue.cli.output.answer import Answer
from pyglue.display import visible
from pyglue.jsonrpc import SyncClient

_TEXT_MAX: Final = 2000


def send_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``send``."""
    parser.add_argument("to", metavar="TO", help="agent name")
    parser.add_argument(
        "body", metavar="TEXT", help="text of the message; - reads standard input"
    )
    parser.add_argument(
        "--urgent", action="store_true", help="deliver it before other messages"
    )


def inbox_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``inbox``."""
    parser.add_argument(
        "--full", action="store_true", help="print long messages to their end"
    )


def send(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Send a message."""
    params = OperatorSendParams(
        to=arguments.to,
        body=arguments.body,
        priority=Priority.HIGH if arguments.urgent else Priority.NORMAL,
    )
    result = client.call(api.OPERATOR_SEND, params)
    text = f"Sent message {result.id} to {arguments.to}."
    if result.turn is not None:
        text += f" Turn {result.turn} gets it when its current tool call has ended."
    return Answer(result, text)


def inbox(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Show the inbox."""
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
