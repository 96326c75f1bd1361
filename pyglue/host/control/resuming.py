"""Resuming an agent: ends every park whose cause is gone, or says what still holds it.

What else holds an agent back (a budget, the disk, a quota) is looked at anew, not
waited for. What the operator's word ends, it ends: a pause, a wait for the model's
provider, for a login or for credit. ``api.operator`` calls this.
"""

from dataclasses import dataclass
from typing import Final

from pyglue.api.control import BlockReason
from pyglue.errors import HiveError
from pyglue.host.control.budgets import Budgets
from pyglue.host.control.controls import Controls
from pyglue.host.control.disk_space import Space
from pyglue.host.control.footprint import Footprints
from pyglue.host.core.blocked import code_of, said_of
from pyglue.host.core.registry import Registry

_REMAINS: Final = frozenset(
    {
        BlockReason.STOPPED,
        BlockReason.HIVE_PAUSED,
        BlockReason.DISK_FULL,
        BlockReason.QUOTA,
        BlockReason.OVER_BUDGET,
        BlockReason.MODEL_NOT_ALLOWED,
        BlockReason.FAILED,
    }
)
"""What a resume cannot end; the rest it lets try again at once."""


@dataclass(frozen=True, kw_only=True)
class Resuming:
    """Lets an agent continue, as far as that can be."""

    registry: Registry
    controls: Controls
    budgets: Budgets
    space: Space
    footprints: Footprints

    async def resume(self, name: str, by: str) -> None:
        """Resume the agent.

        Raises:
            HiveError: ``not_found``; or why it cannot continue yet, and what ends that.
                Its own pause is lifted then all the same.
        """
        agent = self.registry.get(name)
        was_paused = agent.control.paused_at is not None
        if self.registry.disk_full is not None:
            await self.space.look()
        if agent.held is not None:
            await self.footprints.look(agent)
        await self.budgets.look(agent)
        await self.controls.resume(name, by)
        found = self.controls.blocked(agent)
        if found is None or found.reason not in _REMAINS:
            return
        what = "is no longer paused, but" if was_paused else "cannot resume:"
        raise HiveError(code_of(found), f"{name} {what} {said_of(found)}")
