"""The operations that the manager may request: on other agents, within its quota."""

from dataclasses import dataclass

from pyglue.api.common import OperationRef
from pyglue.api.manager import AgentParams, RebuildResult
from pyglue.api.operations import OperationKind
from pyglue.config import Quotas
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.changes.redeploy import Redeploy
from pyglue.host.core.operations import Operations, queued
from pyglue.host.core.registry import Registry
from pyglue.names import MANAGER
from pyglue.store import quotas
from pyglue.store.database import Store
from pyglue.store.quotas import Quota


@dataclass(frozen=True, kw_only=True)
class ManagerOperations:
    """Starts, stops, restarts and rebuilds agents for the manager."""

    store: Store
    registry: Registry
    operations: Operations
    redeploy: Redeploy
    quotas: Quotas

    async def request(self, kind: OperationKind, params: AgentParams) -> OperationRef:
        """Queue an operation.

        Raises:
            HiveError: ``not_found``; ``forbidden`` for the manager itself;
                ``rate_limited``.
        """
        name = await self._charge(params)
        return await queued(self.operations.request(kind, name, by=MANAGER))

    async def rebuild(self, params: AgentParams) -> RebuildResult:
        """Queue a rebuild with the hive's current options.

        Raises:
            HiveError: as ``request``; as ``Redeploy.rebuild``.
        """
        name = await self._charge(params)
        return await self.redeploy.rebuild(name, MANAGER)

    async def _charge(self, params: AgentParams) -> str:
        """Charge an operation to the quota, and return the agent's name."""
        agent = self.registry.get(params.agent)
        if agent.name == MANAGER:
            raise HiveError(
                ErrorCode.FORBIDDEN,
                "The manager cannot start, stop or rebuild itself. Ask the operator.",
            )
        most = self.quotas.operations_per_hour
        await self.store.write(
            lambda tx: quotas.take(tx, MANAGER, Quota.OPERATIONS, 1, most)
        )
        return agent.name
