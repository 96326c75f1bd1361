"""Why an agent runs no turn: the only place that decides it, from its live state alone.

``blocked_by_hived`` covers hived's own reasons (a pause, the disk, a quota),
``refusal`` adds every other reason to refuse a turn at its start, and ``blocked`` adds
everything else that the operator should know. They read no clock and no file, and
change nothing.
Agent states, pages, CLI, doctor and API all show what is decided here.
"""

from typing import Final

from pyglue.api.common import AgentState
from pyglue.api.control import Blocked, BlockReason
from pyglue.clock.wall_clock import Moment
from pyglue.config import OperatorLimits, RelayConfig
from pyglue.errors import ErrorCode
from pyglue.host.core.accounts import account_of
from pyglue.host.core.agent import Agent, Everyone
from pyglue.host.policy.operator_limits import model_is_allowed
from pyglue.models.catalogue import KNOWN, Catalogue

_CODES: Final = {
    BlockReason.STOPPED: ErrorCode.AGENT_NOT_RUNNING,
    BlockReason.HIVE_PAUSED: ErrorCode.PAUSED,
    BlockReason.PAUSED: ErrorCode.PAUSED,
    BlockReason.DISK_FULL: ErrorCode.DISK_FULL,
    BlockReason.QUOTA: ErrorCode.DISK_FULL,
    BlockReason.OVER_BUDGET: ErrorCode.OVER_BUDGET,
    BlockReason.MODEL_NOT_ALLOWED: ErrorCode.MODEL_NOT_ALLOWED,
    BlockReason.NO_ACCOUNT: ErrorCode.MODEL_NOT_ALLOWED,
    BlockReason.RATE_LIMITED: ErrorCode.RATE_LIMITED,
}


def blocked_by_hived(agent: Agent, everyone: Everyone) -> Blocked | None:
    """Return why hived itself withholds messages and turns from the agent.

    The operator's pauses come first, then lack of disk space.
    """
    name = agent.name
    for row, what, reason, resume in (
        (everyone.control, "the hive", BlockReason.HIVE_PAUSED, "--all"),
        (agent.control, name, BlockReason.PAUSED, name),
    ):
        if row.paused_at is not None:
            why = f": {row.pause_reason}" if row.pause_reason else "."
            text = f"{row.paused_by} paused {what}{why}"
            return Blocked(reason, text, f"Resume it: hive resume {resume}")
    if everyone.disk_full is not None:
        return Blocked(
            BlockReason.DISK_FULL,
            everyone.disk_full,
            "Free disk space; agents continue automatically.",
        )
    if agent.on_hold is not None:
        return Blocked(
            BlockReason.QUOTA,
            agent.on_hold,
            f"Remove files of {name}, or raise the quota in the host's configuration.",
        )
    return None


def model_refused(
    agent: Agent, limits: OperatorLimits, models: Catalogue = KNOWN
) -> Blocked | None:
    """Return why the agent's model may not be used, None if it may."""
    if not agent.model or model_is_allowed(agent.model, limits, resolve=models.resolve):
        return None
    names = ", ".join(limits.models or ()) or "none"
    return Blocked(
        BlockReason.MODEL_NOT_ALLOWED,
        f"The operator's limits no longer allow {agent.model}.",
        f"Choose another model with `hive model {agent.name}`. Allowed: {names}.",
    )


def _account_missing(agent: Agent, relay: RelayConfig) -> Blocked | None:
    name = account_of(agent, relay)
    if name in relay.accounts:
        return None
    return Blocked(
        BlockReason.NO_ACCOUNT,
        f"Its account {name} is no longer in the host's configuration.",
        f"Choose another: hive account {agent.name} ACCOUNT. Accounts: "
        f"{', '.join(relay.accounts)}.",
    )


def refusal(
    agent: Agent,
    everyone: Everyone,
    limits: OperatorLimits,
    now: Moment,
    *,
    models: Catalogue = KNOWN,
    relay: RelayConfig,
) -> Blocked | None:
    """Return why the agent's next turn would be refused, None if it would not."""
    name = agent.name
    found = blocked_by_hived(agent, everyone)
    if found is not None:
        return found
    if agent.over_budget is not None:
        return Blocked(
            BlockReason.OVER_BUDGET,
            agent.over_budget,
            "Answer the question about its budget, or raise the limit in agent.nix or "
            "in the host's configuration.",
            agent.budget_until,
        )
    found = model_refused(agent, limits, models) or _account_missing(agent, relay)
    if found is not None:
        return found
    wait = 0.0 if agent.retry_at is None else agent.retry_at.left(now)
    if wait > 0:
        return Blocked(
            BlockReason.RATE_LIMITED,
            "The model provider asked us to back off.",
            f"It retries automatically; to retry now: hive resume {name}",
            now.wall + wait,
        )
    return None


def blocked(
    agent: Agent,
    everyone: Everyone,
    limits: OperatorLimits,
    now: Moment,
    *,
    models: Catalogue = KNOWN,
    relay: RelayConfig,
) -> Blocked | None:
    """Return why the agent runs no turn, None if nothing blocks it."""
    if not agent.wanted or agent.state in (AgentState.STOPPED, AgentState.STOPPING):
        return Blocked(
            BlockReason.STOPPED,
            f"{agent.name} is stopped.",
            f"Start it: hive start {agent.name}",
        )
    found = refusal(agent, everyone, limits, now, models=models, relay=relay)
    return found or _by_state(agent)


def _by_state(agent: Agent) -> Blocked | None:
    """Return what the agent's state implies; the detail may quote its harness."""
    name, detail = agent.name, agent.detail or ""
    again = f"It retries automatically; to retry now: hive resume {name}"
    match agent.state:
        case AgentState.STARTING:
            wait = "It continues when its harness has connected."
            text = detail or f"{name} is starting."
            return Blocked(BlockReason.STARTING, text, wait)
        case AgentState.FAILED:
            logs = f"See its log (hive logs {name}); restart it: hive restart {name}"
            text = detail or f"{name} did not start."
            return Blocked(BlockReason.FAILED, text, logs)
        case AgentState.NEEDS_LOGIN:
            login = (
                "Put a valid API key into the relay's key file; the agent then "
                f"continues. To retry now: hive resume {name}"
            )
            text = f"The model provider refuses the API key. {detail}".strip()
            return Blocked(BlockReason.NEEDS_LOGIN, text, login)
        case AgentState.NO_CREDIT:
            text = detail or "The provider's credit is used up."
            return Blocked(BlockReason.NO_CREDIT, text, f"Add credit. {again}")
        case AgentState.RATE_LIMITED:
            text = detail or "The model provider asked us to back off."
            return Blocked(BlockReason.RATE_LIMITED, text, again)
        case AgentState.DISK_FULL:
            text = detail or "Its disk is full."
            return Blocked(BlockReason.DISK_FULL, text, f"Free disk space. {again}")
        case AgentState.RETRYING:
            text = detail or "Its last turn failed."
            return Blocked(BlockReason.RETRYING, text, again)
    return None


def code_of(found: Blocked) -> ErrorCode:
    """Return the code of the error that reports it."""
    return _CODES.get(found.reason, ErrorCode.UNAVAILABLE)


def sentence_of(found: Blocked) -> str:
    """Return the sentence that says what blocks the agent, and the remedy."""
    return f"{found.text} {found.remedy}"
