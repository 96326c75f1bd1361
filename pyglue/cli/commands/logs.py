"""``hive logs NAME``: an agent's log, or hived's own with the name ``hive``.

hived escapes characters that are invisible in a terminal; times are shown in UTC where
the log has them.
"""

import argparse
import datetime
import sys
from pathlib import Path
from typing import Final

import msgspec

from pyglue.api.journal import (
    HIVE_LOG,
    LINES_MAX,
    JournalLine,
    JournalNews,
    JournalPage,
    JournalParams,
    JournalUnit,
)
from pyglue.api.operator import JOURNAL, JOURNAL_FOLLOW, JOURNAL_NEWS
from pyglue.cli.output.spinner import SpinnerClient
from pyglue.errors import ErrorCode, HiveError

_TIMEOUT_S: Final = 90.0
"""hived sends to a follower more often than this, with or without new lines."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "agent", metavar="NAME", help=f"agent name, or {HIVE_LOG!r} for hived's own log"
    )
    parser.add_argument(
        "-n",
        "--lines",
        type=_lines,
        default=200,
        help=f"1 to {LINES_MAX} (default 200)",
    )
    parser.add_argument(
        "-f", "--follow", action="store_true", help="follow the log until interrupted"
    )
    parser.add_argument(
        "--unit",
        choices=[unit.value for unit in JournalUnit],
        metavar="UNIT",
        help="harness (default), or machine: the container as seen by the host",
    )


def run(socket: Path, arguments: argparse.Namespace) -> int:
    """Print the log.

    Raises:
        HiveError: hived refused, or the log could not be followed any further.
    """
    client = SpinnerClient(socket)
    try:
        unit = arguments.unit
        params = JournalParams(
            agent=arguments.agent,
            unit=None if unit is None else JournalUnit(unit),
            lines=arguments.lines,
        )
        method = JOURNAL_FOLLOW if arguments.follow else JOURNAL
        _print(client.call(method, params), as_json=arguments.json)
        if arguments.follow:
            _follow(client, as_json=arguments.json)
    finally:
        client.close()
    return 0


def _follow(client: SpinnerClient, *, as_json: bool) -> None:
    for news in client.stream(JOURNAL_NEWS, timeout=_TIMEOUT_S):
        if news.lines or news.gap:
            _print(news, as_json=as_json)
        if news.ended is not None:
            raise HiveError(ErrorCode.UNAVAILABLE, news.ended)
    raise HiveError(
        ErrorCode.UNAVAILABLE,
        "The connection to hived was lost. Follow the log again when hived is back.",
    )


def _print(page: JournalPage | JournalNews, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.encode(page).decode() + "\n")
    else:
        if page.gap:
            sys.stderr.write("hive: some lines are missing here\n")
        sys.stdout.write("".join(f"{_text(line)}\n" for line in page.lines))
    sys.stdout.flush()


def _text(line: JournalLine) -> str:
    if line.at is None:
        return line.text
    at = datetime.datetime.fromtimestamp(line.at, datetime.UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}Z {line.text}"


def _lines(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
    if not 1 <= number <= LINES_MAX:
        raise argparse.ArgumentTypeError(f"must be between 1 and {LINES_MAX}")
    return number
