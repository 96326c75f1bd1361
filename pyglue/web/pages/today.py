"""Today's cost of the hive, and the agents that cost most: a line on the overview."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pyglue.api.overview import AgentView

_DEAREST: Final = 3


@dataclass(frozen=True, kw_only=True)
class Today:
    """The cost of this day (UTC), and the agents that cost most, highest first.

    ``rate_usd`` is the cost of the last 60 minutes, ``limit_usd`` what all daily limits
    come to, None if an agent has none. ``is_estimate``: a subscription pays for a part.
    """

    cost_usd: float
    rate_usd: float
    limit_usd: float | None
    dearest: tuple[AgentView, ...]
    is_estimate: bool


def today(agents: Sequence[AgentView]) -> Today:
    """Add up today's cost of all agents."""
    costly = [one for one in agents if one.cost_today_usd > 0]
    costly.sort(key=lambda one: (-one.cost_today_usd, one.name))
    limits = [one.cost_limit_usd for one in agents]
    known = [one for one in limits if one is not None]
    return Today(
        rate_usd=sum(one.cost_hour_usd for one in agents),
        limit_usd=sum(known) if known and len(known) == len(limits) else None,
        cost_usd=sum(one.cost_today_usd for one in costly),
        dearest=tuple(costly[:_DEAREST]),
        is_estimate=any(one.is_estimate for one in costly),
    )
