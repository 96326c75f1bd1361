"""Today's cost of the hive, and the agents that cost most: a line on the overview."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pyglue.api.overview import AgentView

_DEAREST: Final = 3


@dataclass(frozen=True)
class Today:
    """The cost of this day (UTC), and the agents that cost most, highest first.

    ``is_estimate``: a subscription pays for a part of it.
    """

    cost_usd: float
    dearest: tuple[AgentView, ...]
    is_estimate: bool


def today(agents: Sequence[AgentView]) -> Today:
    """Add up today's cost of all agents."""
    costly = [one for one in agents if one.cost_today_usd > 0]
    costly.sort(key=lambda one: (-one.cost_today_usd, one.name))
    return Today(
        cost_usd=sum(one.cost_today_usd for one in costly),
        dearest=tuple(costly[:_DEAREST]),
        is_estimate=any(one.is_estimate for one in costly),
    )
