"""The start, stop and restart operations: one repeatable step each."""

import asyncio
from dataclasses import dataclass
from typing import ClassVar, Final

from pyglue.api.event_values import NotificationKind
from pyglue.api.operations import Operation, OperationKind
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.agents.directories import Directories
from pyglue.host.agents.lifecycle import Lifecycle
from pyglue.host.core.agent import Agent
from pyglue.host.core.registry import Registry
from pyglue.host.core.transitions import Transitions
from pyglue.host.messages.notifications import Notifications
from pyglue.manifest.record import PinnedRecord
from pyglue.names import MANAGER, SYSTEM
from pyglue.store.failures import StoreError

_TOLD: Final = {
    OperationKind.START: NotificationKind.STARTED,
    OperationKind.STOP: NotificationKind.STOPPED,
    OperationKind.RESTART: NotificationKind.STARTED,
}


@dataclass(kw_only=True)
class Running:
    """The handler of start, stop and restart."""

    steps: ClassVar[tuple[str, ...]] = ("run",)

    registry: Registry
    transitions: Transitions
    lifecycle: Lifecycle
    directories: Directories
    notifications: Notifications

    async def run(self, operation: Operation, step: str) -> str | None:  # noqa: ARG002
        """Run the operation, and notify the manager if it requested it."""
        try:
            await self._run(operation)
        except StoreError:
            raise  # the operation is retried
        except HiveError as error:
            if operation.requested_by == MANAGER:
                what = f"{operation.kind.value.capitalize()} of {operation.agent}"
                await self.notifications.to_manager(
                    operation.agent, f"{what} failed. {error.message}"
                )
            raise
        return None

    async def _tell(self, operation: Operation, *, recovered: bool) -> None:
        what = f"{operation.kind.value.capitalize()} of {operation.agent} succeeded."
        if recovered:
            what = f"{operation.agent} is running again and healthy."
        await self.notifications.give(
            _TOLD[operation.kind],
            operation.agent,
            what,
            by=operation.requested_by,
            data={"operation": operation.kind.value},
            to_manager=recovered or operation.requested_by == MANAGER,
        )

    async def _run(self, operation: Operation) -> None:
        """Run the operation; starting a running agent changes nothing."""
        gone = self.registry.find(operation.agent) is None
        if gone and operation.requested_by == SYSTEM:
            return  # destroyed before hived could restart it
        agent = self.registry.get(operation.agent)
        unwell = agent.problem is not None
        wanted = operation.kind is not OperationKind.STOP
        record = _deployed(agent) if wanted else None
        if operation.requested_by != SYSTEM:
            await self.transitions.wanted(agent, wanted)
        elif not agent.wanted:
            return  # stopped before hived could restart it
        if record is None:
            await self.lifecycle.stop(agent)
        elif operation.kind is OperationKind.RESTART or agent.harness is None:
            await self._restart(agent, record)
        recovered = unwell and operation.requested_by == SYSTEM
        await self._tell(operation, recovered=recovered)

    def recover(self, step: str) -> str | None:  # noqa: ARG002
        """Nothing to undo: the agent is stopped, and its problem says why."""
        return None

    async def _restart(self, agent: Agent, record: PinnedRecord) -> None:
        try:
            await asyncio.to_thread(self.directories.make, agent.name)
            await self.lifecycle.restart(agent, record)
        except HiveError as error:
            await self.transitions.problem_noted(agent, error.message)
            raise
        if agent.problem is not None:
            await self.transitions.problem_noted(agent, None)


def _deployed(agent: Agent) -> PinnedRecord:
    if agent.record is None:
        raise HiveError(
            ErrorCode.AGENT_NOT_RUNNING,
            f"{agent.name} has not been deployed yet; approve a proposal first.",
        )
    return agent.record
