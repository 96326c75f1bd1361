"""A command of ``hive`` that calls hived: one call, printed as text or as JSON."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from pyglue.cli.output.answer import Answer
from pyglue.cli.output.spinner import SpinnerClient
from pyglue.jsonrpc import SyncClient

_CALL_S: Final = 930.0
"""An evaluation may take long; hived's own timeouts are shorter."""


@dataclass(frozen=True, kw_only=True)
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


def no_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no arguments."""
    del parser


def agent_argument(parser: argparse.ArgumentParser) -> None:
    """Declare an agent's name."""
    parser.add_argument("agent", metavar="NAME", help="agent name")
