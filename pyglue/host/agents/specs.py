"""What a backend is given to run an agent, and why an agent may not run here.

``lifecycle`` and ``supervisor`` ask before every start, and before a running container
is adopted: the operator's limits and workspaces of this hive hold for every agent,
also for those that were approved before they changed.
"""

from dataclasses import dataclass, replace

from pyglue.config import HiveConfig
from pyglue.host.agents.container_limits import within_operator_limits
from pyglue.host.backends.base import AgentSpec
from pyglue.host.core.agent import spec_of
from pyglue.host.core.workspaces import Workspaces
from pyglue.host.policy.operator_limits import blocked
from pyglue.manifest import PinnedRecord


@dataclass(frozen=True, kw_only=True)
class Specs:
    """Makes specs of records, within what the operator allows."""

    config: HiveConfig
    workspaces: Workspaces

    def of(self, name: str, record: PinnedRecord) -> AgentSpec:
        """Return how an agent runs under ``record``.

        Raises:
            HiveError: ``not_found`` for a workspace that this hive does not have.
        """
        spec = within_operator_limits(spec_of(name, record), self.config)
        return replace(spec, mounts=self.workspaces.mounts(record.typed))

    def blocked(self, record: PinnedRecord) -> str | None:
        """Return why an agent that was approved may not run now, None if it may."""
        resolve = self.config.catalogue.resolve
        why = blocked(record.typed, self.config.limits, resolve=resolve)
        if why is not None:
            return why
        missing = self.workspaces.missing(record.typed)
        return None if missing is None else f"{missing} Then start the agent."
