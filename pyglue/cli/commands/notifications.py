"""The command ``notifications``: external notifications, and subscribed browsers."""

import argparse
from collections.abc import Sequence

from pyglue.api import operator as api
from pyglue.api.common import NoParams
from pyglue.api.push import NotificationsResult, PushRemoveParams
from pyglue.cli.output.answer import Answer
from pyglue.cli.output.show import table
from pyglue.cli.output.times import moment
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import SyncClient
from pyglue.text.display import visible


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``notifications``."""
    parser.add_argument("action", choices=("list", "test", "remove"), help="what to do")
    parser.add_argument(
        "browser",
        metavar="ID",
        nargs="?",
        type=int,
        help="with remove: number of a browser",
    )


def notifications(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """List notifications and browsers, send a test, or unsubscribe a browser."""
    action, number = arguments.action, arguments.browser
    if (action == "remove") != (number is not None):
        form = " ID" if action == "remove" else ""
        raise HiveError(
            ErrorCode.BAD_REQUEST, f"Usage: hive notifications {action}{form}."
        )
    if action == "test":
        done = client.call(api.NOTIFY_TEST, NoParams())
        return Answer(done, "A test notification is being sent.")
    if action == "remove":
        done = client.call(api.PUSH_REMOVE, PushRemoveParams(id=number))
        return Answer(done, f"Browser {number} was unsubscribed.")
    result = client.call(api.NOTIFICATIONS, NoParams())
    return Answer(result, _shown(result))


def _shown(result: NotificationsResult) -> str:
    lines = [
        f"events       {', '.join(result.events) or 'nothing'}",
        f"quiet hours  {result.quiet_hours or 'none'}",
        f"elsewhere    {'URLs from the configuration' if result.places else 'none'}",
        f"browsers     {len(result.browsers) if result.web_push else 'off'}",
        f"pending      {result.pending}",
    ]
    if result.problem is not None:
        lines.append(f"problem      {visible(result.problem)}")
    if result.browsers:
        rows: list[Sequence[str]] = [("ID", "SINCE", "BY", "BROWSER", "")]
        rows += [
            (
                str(one.id),
                moment(one.since_at),
                visible(one.service),
                visible(one.browser, limit=60),
                visible(one.problem or ""),
            )
            for one in result.browsers
        ]
        lines += ["", table(rows)]
    return "\n".join(lines)
