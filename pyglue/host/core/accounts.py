"""Which account pays for an agent: the operator's choice, else the default one."""

from pyglue.config import Credential, RelayConfig
from pyglue.host.core.agent import Agent


def account_of(agent: Agent, relay: RelayConfig) -> str:
    """Return the name of an agent's account; it may not be configured any more."""
    return agent.control.account or relay.name


def is_estimate(agent: Agent, relay: RelayConfig) -> bool:
    """Return whether what an agent costs is only an estimate: a subscription pays."""
    account = relay.accounts.get(account_of(agent, relay))
    return account is not None and account.credential is Credential.SUBSCRIPTION


def has_estimates(relay: RelayConfig) -> bool:
    """Return whether the hive has a subscription among its accounts."""
    accounts = relay.accounts.values()
    return any(one.credential is Credential.SUBSCRIPTION for one in accounts)
