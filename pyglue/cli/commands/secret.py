"""The command ``secret``: values that the operator stores.

A value comes from a prompt without echo or from standard input, never from the command
line, which other users can see.
"""

import argparse
import getpass
import sys
from collections.abc import Sequence

from pyglue.api import operator as api
from pyglue.api.common import NoParams
from pyglue.api.secrets import SecretParams, SecretSetParams
from pyglue.cli.output.answer import Answer
from pyglue.cli.output.show import table
from pyglue.cli.output.times import moment
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import SyncClient


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``secret``."""
    parser.add_argument(
        "action", choices=("list", "set", "rotate", "remove"), help="what to do"
    )
    parser.add_argument(
        "name", metavar="NAME", nargs="?", help="name, such as GITHUB_TOKEN"
    )


def secret(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """List the secrets; set, rotate or remove one."""
    if arguments.action == "list":
        return _list(client)
    name = arguments.name
    if name is None:
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            f"Name a secret: hive secret {arguments.action} NAME.",
        )
    if arguments.action == "remove":
        done = client.call(api.SECRET_REMOVE, SecretParams(name=name))
        return Answer(done, f"Removed {name}.")
    params = SecretSetParams(name=name, value=_value(name))
    if arguments.action == "rotate":
        return Answer(client.call(api.SECRET_ROTATE, params), f"Rotated {name}.")
    return Answer(client.call(api.SECRET_SET, params), f"Set {name}.")


def _list(client: SyncClient) -> Answer:
    result = client.call(api.SECRETS, NoParams())
    rows: list[Sequence[str]] = [("NAME", "SET", "")]
    for one in result.secrets:
        when = "-" if one.set_at is None else moment(one.set_at)
        rows.append((one.name, when, "host's configuration" if one.configured else ""))
    return Answer(result, table(rows) if result.secrets else "No secret is set.")


def _value(name: str) -> str:
    if sys.stdin.isatty():
        value = getpass.getpass(f"Value of {name}: ")
    else:
        value = sys.stdin.read().removesuffix("\n")
    if not value:
        raise HiveError(
            ErrorCode.BAD_REQUEST, f"The value of {name} is empty; nothing was changed."
        )
    return value
