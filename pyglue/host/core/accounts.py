"""Which account pays for an agent: the operator's choice, else the default one."""

from pyglue.config import Credential, RelayConfig
from pyglue.host.core.agent import Agent


def account_of(agent: Agent, relay: RelayConfig) -> str:
    """Return the name of an agent's account; it may no longer be configured."""
    return agent.control.account or relay.name


def is_estimate(agent: Agent, relay: RelayConfig) -> bool:
    """Return whether an agent's cost is an estimate, because a subscription pays."""
    account = relay.accounts.get(account_of(agent, relay))
    return account is not None and account.credential is Credential.SUBSCRIPTION


def has_estimates(relay: RelayConfig) -> bool:
    """Return whether any of the hive's accounts is a subscription."""
    accounts = relay.accounts.values()
    return any(one.credential is Credential.SUBSCRIPTION for one in accounts)
