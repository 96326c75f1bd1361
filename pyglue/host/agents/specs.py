"""The spec that a backend runs an agent from, and why an agent may not run here.

``lifecycle`` and ``supervisor`` check this before every start, and before reattaching
to a running container: the operator's limits and this hive's workspaces apply to every
agent, including those approved before they changed.
"""

from dataclasses import dataclass, replace

from pyglue.config import HiveConfig
from pyglue.host.agents.container_limits import within_operator_limits
from pyglue.host.backends.base import AgentSpec
from pyglue.host.core.agent import spec_of
from pyglue.host.core.workspaces import Workspaces
from pyglue.host.policy.operator_limits import blocked
from pyglue.manifest.record import PinnedRecord


@dataclass(frozen=True, kw_only=True)
class Specs:
    """Makes specs from records, within the operator's limits."""

    config: HiveConfig
    workspaces: Workspaces

    def of(self, name: str, record: PinnedRecord) -> AgentSpec:
        """Return the spec of an agent under ``record``.

        Raises:
            HiveError: ``not_found`` for a workspace that this hive does not have.
        """
        spec = within_operator_limits(spec_of(name, record), self.config)
        return replace(spec, mounts=self.workspaces.mounts(record.typed))

    def blocked(self, record: PinnedRecord) -> str | None:
        """Return why an approved agent may not run now, None if it may."""
        resolve = self.config.catalogue.resolve
        why = blocked(record.typed, self.config.limits, resolve=resolve)
        if why is not None:
            return why
        missing = self.workspaces.missing(record.typed)
        return None if missing is None else f"{missing} Then start the agent."
