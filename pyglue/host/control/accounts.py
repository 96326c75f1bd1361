"""Which account pays for an agent: the operator's choice of the configured ones.

The relay uses it from the next request on. An agent that was waiting for its account's
limit retries with the new account immediately, unless that is used up too.
``api.operator`` calls this.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from pyglue.api.accounts import AccountsResult, AccountView, SetAccountParams
from pyglue.api.relay import RateWindow
from pyglue.clock import wall_clock
from pyglue.config import Account, Credential, RelayConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.control.controls import Controls
from pyglue.host.core.accounts import account_of
from pyglue.host.core.audit import Audit
from pyglue.host.core.day_limits import start_of_day
from pyglue.host.core.registry import Registry
from pyglue.host.core.transitions import Transitions
from pyglue.store import usage
from pyglue.store.database import Store

_PAYS: Final = {
    Credential.API_KEY: "an API key",
    Credential.SUBSCRIPTION: "a Claude subscription",
    Credential.GATEWAY: "a gateway's token",
}


@dataclass(frozen=True, kw_only=True)
class Accounts:
    """Chooses and lists accounts."""

    store: Store
    registry: Registry
    transitions: Transitions
    controls: Controls
    audit: Audit
    config: RelayConfig
    windows_of: Callable[[str], tuple[RateWindow, ...]]
    """An account's rate windows, as last reported by its provider."""
    used_up_until: Callable[[str], wall_clock.Moment | None]
    """When an account with a used-up window can be used again, else None."""

    async def choose(self, params: SetAccountParams, by: str) -> None:
        """Set the account that pays for an agent; None: the default account.

        Raises:
            HiveError: ``not_found`` for the agent or the account, ``conflict`` if the
                agent already uses the default.
        """
        agent, name = self.registry.get(params.agent), params.account
        if name is not None and name not in self.config.accounts:
            raise HiveError(
                ErrorCode.NOT_FOUND,
                f"There is no account {name!a}. Accounts: "
                f"{', '.join(self.config.accounts)}.",
            )
        if name is None and agent.control.account is None:
            raise HiveError(
                ErrorCode.CONFLICT,
                f"{agent.name} already uses the default account, {self.config.name}.",
            )
        before = account_of(agent, self.config)
        written = self.transitions.controlled(
            agent, replace(agent.control, account=name)
        )
        now = account_of(agent, self.config)
        data = {"before": before, "account": name}
        self.audit.record(by, "account", agent.name, data)
        if now != before:
            self.controls.try_again(agent)
            until = self.used_up_until(now)
            if until is not None:
                self.transitions.back_off(agent, until)
        await written

    async def all(self) -> AccountsResult:
        """Return every account, with its agents and its rate windows."""
        day = start_of_day()
        costs = await self.store.read(
            lambda reader: usage.spent_by_account(reader, day)
        )
        accounts = self.config.accounts.items()
        views = (self._view(name, one, costs) for name, one in accounts)
        return AccountsResult(accounts=tuple(views))

    def _view(
        self, name: str, account: Account, costs: dict[str | None, float]
    ) -> AccountView:
        agents = [
            agent.name
            for agent in self.registry.all()
            if account_of(agent, self.config) == name
        ]
        is_default = name == self.config.name
        earlier = costs.get(None, 0.0) if is_default else 0.0
        return AccountView(
            name=name,
            is_default=is_default,
            pays=_PAYS[account.credential],
            upstream_url=account.upstream_url,
            is_estimate=account.credential is Credential.SUBSCRIPTION,
            agents=tuple(sorted(agents)),
            cost_today_usd=costs.get(name, 0.0) + earlier,
            windows=self.windows_of(name),
        )
