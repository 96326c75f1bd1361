"""The start, stop and restart operations: one repeatable step each."""

import asyncio
from typing import ClassVar, Final

from pyglue.api.operations import Operation, OperationKind
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.agents.directories import Directories
from pyglue.host.agents.lifecycle import Lifecycle
from pyglue.host.core.registry import Agent, Registry
from pyglue.host.messages.notifications import NotificationKind, Notifications
from pyglue.manifest import PinnedRecord
from pyglue.names import MANAGER, SYSTEM
from pyglue.store import agents as rows
from pyglue.store.database import Store

_TOLD: Final = {
    OperationKind.START: NotificationKind.STARTED,
    OperationKind.STOP: NotificationKind.STOPPED,
    OperationKind.RESTART: NotificationKind.STARTED,
}


class Running:
    """The handler of start, stop and restart."""

    steps: ClassVar[tuple[str, ...]] = ("run",)

    def __init__(
        self,
        *,
        store: Store,
        registry: Registry,
        lifecycle: Lifecycle,
        directories: Directories,
        notifications: Notifications,
    ) -> None:
        self._directories = directories
        self._store = store
        self._registry = registry
        self._lifecycle = lifecycle
        self._notifications = notifications

    async def run(self, operation: Operation, step: str) -> str | None:  # noqa: ARG002
        """Do what the kind says and tell the manager if it asked for it."""
        try:
            await self._run(operation)
        except HiveError as error:
            if operation.requested_by == MANAGER:
                what = f"{operation.kind.value.capitalize()} of {operation.agent}"
                await self._notifications.mail(
                    operation.agent, f"{what} failed. {error.message}"
                )
            raise
        return None

    async def _tell(self, operation: Operation, *, recovered: bool) -> None:
        what = f"{operation.kind.value.capitalize()} of {operation.agent} succeeded."
        if recovered:
            what = f"{operation.agent} is running again and healthy."
        await self._notifications.give(
            _TOLD[operation.kind],
            operation.agent,
            what,
            by=operation.requested_by,
            data={"operation": operation.kind.value},
            mail=recovered or operation.requested_by == MANAGER,
        )

    async def _run(self, operation: Operation) -> None:
        """Starting what is well changes nothing."""
        gone = self._registry.find(operation.agent) is None
        if gone and operation.requested_by == SYSTEM:
            return  # it was destroyed while the hive meant to bring it back
        agent = self._registry.get(operation.agent)
        unwell = agent.problem is not None
        wanted = operation.kind is not OperationKind.STOP
        record = _deployed(agent) if wanted else None
        if operation.requested_by != SYSTEM:
            await self._want(agent, wanted)
        elif not agent.wanted:
            return  # it was stopped while the hive meant to bring it back
        if record is None:
            await self._lifecycle.stop(agent)
        elif operation.kind is OperationKind.RESTART or agent.harness is None:
            await self._restart(agent, record)
        recovered = unwell and operation.requested_by == SYSTEM
        await self._tell(operation, recovered=recovered)

    def recover(self, step: str) -> str | None:  # noqa: ARG002
        """Nothing to mend: the agent is stopped and says why."""
        return None

    async def _restart(self, agent: Agent, record: PinnedRecord) -> None:
        try:
            await asyncio.to_thread(self._directories.make, agent.name)
            await self._lifecycle.restart(agent, record)
        except HiveError as error:
            await self._lifecycle.note_problem(agent, error.message)
            raise
        if agent.problem is not None:
            await self._lifecycle.note_problem(agent, None)

    async def _want(self, agent: Agent, wanted: bool) -> None:
        agent.wanted = wanted
        await self._store.write(lambda tx: rows.set_wanted(tx, agent.name, wanted))


def _deployed(agent: Agent) -> PinnedRecord:
    if agent.record is None:
        raise HiveError(
            ErrorCode.AGENT_NOT_RUNNING,
            f"{agent.name} has not been deployed yet; approve a proposal first.",
        )
    return agent.record
