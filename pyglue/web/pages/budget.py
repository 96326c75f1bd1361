"""An agent's cost of today and its daily limit, and when it reaches that.

The forecast assumes the rate of the last hour, and exists only if the limit is reached
before the day ends (UTC), when a new budget begins.
"""

import time
from dataclasses import dataclass
from typing import Final

from pyglue.api.overview import AgentView

_HOUR_S: Final = 3600.0
_DAY_S: Final = 86400.0


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Dollars: ``spent`` of ``limit`` today, and ``rate`` an hour.

    ``reached_at`` is when the limit is reached at this rate, None if that is not today.
    """

    spent: float
    limit: float | None
    rate: float
    reached_at: float | None = None

    @property
    def is_used_up(self) -> bool:
        """Return whether nothing is left."""
        return self.limit is not None and self.spent >= self.limit

    @property
    def percent(self) -> int:
        """Return how much of the limit is spent, 0 to 100."""
        if self.is_used_up or not self.limit:
            return 100 if self.is_used_up else 0
        return int(100 * self.spent / self.limit)


def budget(agent: AgentView, now: float | None = None) -> Budget:
    """Return the budget of ``agent`` at ``now`` (the present)."""
    now = time.time() if now is None else now
    spent, limit, rate = agent.cost_today_usd, agent.cost_limit_usd, agent.cost_hour_usd
    reached_at = None
    if limit is not None and rate > 0 and spent < limit:
        at = now + (limit - spent) / rate * _HOUR_S
        reached_at = at if at < (now // _DAY_S + 1) * _DAY_S else None
    return Budget(spent=spent, limit=limit, rate=rate, reached_at=reached_at)
