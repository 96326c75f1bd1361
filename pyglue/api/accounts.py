"""Accounts that pay for agents' requests.

The calls are declared in ``operator``; these are their types.
"""

from pyglue.api.common import AccountName, AgentName, Params, Result
from pyglue.api.relay import RateWindow


class SetAccountParams(Params, frozen=True):
    """Charge another account from the next request on; None: the default one."""

    agent: AgentName
    account: AccountName | None = None


class AccountView(Result, frozen=True):
    """An account. ``pays`` describes its credential in words.

    ``agents`` are those that it currently pays for, ``cost_today_usd`` is the cost of
    all requests that it paid for today (UTC). ``is_estimate``: a subscription pays, so
    costs are estimates at list prices.
    """

    name: str
    is_default: bool
    pays: str
    upstream_url: str
    is_estimate: bool
    agents: tuple[str, ...]
    cost_today_usd: float
    windows: tuple[RateWindow, ...]


class AccountsResult(Result, frozen=True):
    """All accounts of the host's configuration, the default first."""

    accounts: tuple[AccountView, ...]
