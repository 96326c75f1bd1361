"""The commands ``accounts`` and ``account``: who pays for agents."""

import argparse
from collections.abc import Sequence

from pyglue.api import operator as api
from pyglue.api.accounts import AccountView, SetAccountParams
from pyglue.api.common import NoParams
from pyglue.cli.commands.command import agent_argument
from pyglue.cli.output.answer import Answer
from pyglue.cli.output.show import table
from pyglue.cli.output.times import moment
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import SyncClient
from pyglue.text.display import visible


def accounts(client: SyncClient, _arguments: argparse.Namespace) -> Answer:
    """List the accounts, who uses each, and a subscription's windows."""
    result = client.call(api.ACCOUNTS, NoParams())
    rows: list[Sequence[str]] = [("ACCOUNT", "PAYS", "TODAY", "AGENTS", "LIMITS")]
    rows += [_row(one) for one in result.accounts]
    return Answer(result, table(rows))


def _row(one: AccountView) -> Sequence[str]:
    about = "≈ " if one.is_estimate else ""
    windows = (f"{w.words}, resets {moment(w.resets_at)}" for w in one.windows)
    return (
        f"{one.name} (default)" if one.is_default else one.name,
        visible(f"{one.pays} at {one.upstream_url}"),
        f"{about}${one.cost_today_usd:.2f}",
        " ".join(one.agents) or "none",
        visible("; ".join(windows)),
    )


def account_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``account``."""
    agent_argument(parser)
    parser.add_argument("account", metavar="ACCOUNT", nargs="?", help="its name")
    parser.add_argument(
        "--reset", action="store_true", help="return to the default account"
    )


def account(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Choose the account that pays for an agent."""
    name, chosen = arguments.agent, arguments.account
    if arguments.reset == bool(chosen):
        raise HiveError(
            ErrorCode.BAD_REQUEST, "Name an account, or use --reset. See: hive accounts"
        )
    params = SetAccountParams(agent=name, account=chosen or None)
    done = client.call(api.SET_ACCOUNT, params)
    which = f"the account {chosen}" if chosen else "the default account"
    return Answer(done, f"{name} uses {which} from its next request on.")
