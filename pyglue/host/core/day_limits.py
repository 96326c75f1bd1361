"""The limits in force for an agent today: money, tokens, turns.

Read by ``control.budgets``, which parks agents at them, by ``model.relay``, which
reserves money under them, and by ``watch.views``, which shows them.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from pyglue.config import HiveConfig
from pyglue.host.core.agent import Agent
from pyglue.store import usage

_T = TypeVar("_T", int, float, str)


def start_of_day() -> float:
    """Return the last midnight (UTC) in seconds since the epoch."""
    return time.time() // usage.DAY_S * usage.DAY_S


class Limit(StrEnum):
    """Which limit was reached."""

    COST = "cost"
    TOKENS = "tokens"
    TURNS = "turns"


@dataclass(frozen=True)
class Limits:
    """The limits in force today; None means no limit."""

    cost_usd: float | None
    tokens: int | None
    turns: int | None


@dataclass(frozen=True)
class Used:
    """What has been used or reserved today."""

    cost_usd: float = 0.0
    tokens: int = 0


def limits_of(agent: Agent, config: HiveConfig, *, lifted: bool = True) -> Limits:
    """Return an agent's limits, including today's additions if ``lifted``."""
    own, operators = agent.policy().typed.limits, config.limits
    default = config.defaults
    row = agent.control
    extra = lifted and row.lift_day == start_of_day()
    cost = lower(
        own.cost_per_day_usd, default.cost_per_day_usd, operators.cost_per_day_usd
    )
    tokens = lower(own.tokens_per_day, default.tokens_per_day, operators.tokens_per_day)
    turns = lower(own.turns_per_hour, default.turns_per_hour, operators.turns_per_hour)
    return Limits(
        cost if cost is None else cost + row.lift_usd * extra,
        tokens if tokens is None else int(tokens + row.lift_tokens * extra),
        turns if turns is None else int(turns + row.lift_turns * extra),
    )


def cost_limit(agent: Agent, config: HiveConfig) -> float | None:
    """Return today's cost limit in US dollars; None without a limit or a record."""
    if agent.applied is None and agent.record is None:
        return None
    return limits_of(agent, config).cost_usd


def lower(
    own: _T | None,
    default: _T | None,
    operators: _T | None,
    *,
    size: Callable[[_T], float] = float,
) -> _T | None:
    """Return the agent's own limit or the default, capped by the operator's.

    ``size`` measures limits that are text, such as ``2G``.
    """
    asked = default if own is None else own
    in_force = (limit for limit in (asked, operators) if limit is not None)
    return min(in_force, key=size, default=None)
