"""The commands that send messages and read the operator's inbox."""

import argparse
import datetime
from typing import Final

from pyglue.api import operator as api
from pyglue.api.inbox import InboxFilter, InboxParams, MarkParams, OperatorSendParams
from pyglue.api.messages import Mark, Priority, ShownMessage
from pyglue.cli.output.answer import Answer
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import SyncClient
from pyglue.text.display import visible

_TEXT_MAX: Final = 2000
_NONE: Final = "There are no {} messages in the inbox."


def send_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``send``."""
    parser.add_argument("to", metavar="TO", help="agent name")
    parser.add_argument(
        "body", metavar="TEXT", help="text of the message; - reads standard input"
    )
    parser.add_argument(
        "--urgent", action="store_true", help="deliver it before other messages"
    )
    parser.add_argument(
        "--reply-to",
        metavar="ID",
        type=int,
        help="answer this message, and mark it done",
    )


def inbox_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``inbox``."""
    parser.add_argument(
        "mark",
        nargs="?",
        choices=tuple(Mark),
        help="mark messages instead of showing them",
    )
    parser.add_argument(
        "ids", metavar="ID", nargs="*", type=int, help="the messages to mark"
    )
    parser.add_argument(
        "--show",
        choices=tuple(InboxFilter),
        default=InboxFilter.OPEN,
        help="which messages; open ones (the default) are unread or read",
    )
    parser.add_argument(
        "--full", action="store_true", help="print long messages in full"
    )


def send(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Send a message."""
    params = OperatorSendParams(
        to=arguments.to,
        body=arguments.body,
        reply_to=arguments.reply_to,
        priority=Priority.HIGH if arguments.urgent else Priority.NORMAL,
    )
    result = client.call(api.OPERATOR_SEND, params)
    text = f"Sent message {result.id} to {arguments.to}."
    if result.turn is not None:
        text += f" Turn {result.turn} gets it when its current tool call has ended."
    return Answer(result, text)


def inbox(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Show the inbox, or mark messages of it."""
    if arguments.mark is not None:
        return _mark(client, Mark(arguments.mark), tuple(arguments.ids))
    whole = arguments.full or arguments.json
    show = InboxFilter(arguments.show)
    params = InboxParams(show=show, clip=None if whole else _TEXT_MAX)
    result = client.call(api.INBOX, params)
    blocks = [_block(message) for message in reversed(result.messages)]
    empty = "The inbox is empty." if show is InboxFilter.ALL else _NONE.format(show)
    return Answer(result, "\n\n".join(blocks) or empty)


def _mark(client: SyncClient, mark: Mark, ids: tuple[int, ...]) -> Answer:
    if not ids:
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            f"Name messages: hive inbox {mark} ID… `hive inbox` lists their IDs.",
        )
    done = client.call(api.MARK, MarkParams(mark=mark, ids=ids))
    what = "Message" if len(ids) == 1 else "Messages"
    return Answer(done, f"{what} {', '.join(map(str, ids))} marked {mark}.")


def _block(message: ShownMessage) -> str:
    at = datetime.datetime.fromtimestamp(message.sent_at, datetime.UTC)
    mark = "" if message.mark in (None, Mark.READ) else f" · {message.mark}"
    head = f"[{message.id}] {message.sender} · {at:%Y-%m-%d %H:%M:%S}Z{mark}"
    size = len(message.body)
    body = "\n".join(visible(line, limit=size) for line in message.body.split("\n"))
    more = message.left_out
    rest = f"\n… {more} more characters: hive inbox --full" if more else ""
    return f"{head}\n{body}{rest}"
