"""Resuming an agent: unblocks it if possible, or reports what still blocks it.

A resume ends a pause, and a wait for the model provider, a login or credit. Other
blocks (a budget, the disk, a quota) are checked again immediately and end if their
cause is gone. ``api.operator`` calls this.
"""

from dataclasses import dataclass
from typing import Final

from pyglue.api.control import BlockReason
from pyglue.errors import HiveError
from pyglue.host.control.budgets import Budgets
from pyglue.host.control.controls import Controls
from pyglue.host.control.disk_space import Space
from pyglue.host.control.footprint import Footprints
from pyglue.host.core.blocked import code_of, sentence_of
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
"""Reasons that a resume cannot end; for all others the agent retries immediately."""


@dataclass(frozen=True, kw_only=True)
class Resuming:
    """Resumes agents as far as possible."""

    registry: Registry
    controls: Controls
    budgets: Budgets
    space: Space
    footprints: Footprints

    async def resume(self, name: str, by: str) -> None:
        """Resume the agent.

        Raises:
            HiveError: ``not_found``; or why it cannot continue yet, and the remedy.
                Its own pause is lifted even then.
        """
        agent = self.registry.get(name)
        was_paused = agent.control.paused_at is not None
        if self.registry.disk_full is not None:
            await self.space.look()
        if agent.on_hold is not None:
            await self.footprints.look(agent)
        await self.budgets.look(agent)
        await self.controls.resume(name, by)
        found = self.controls.blocked(agent)
        if found is None or found.reason not in _REMAINS:
            return
        what = "is no longer paused, but" if was_paused else "cannot resume:"
        raise HiveError(code_of(found), f"{name} {what} {sentence_of(found)}")
