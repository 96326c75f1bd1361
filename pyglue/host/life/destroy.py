"""Destroying an agent, and purging the kept state of a destroyed one.

Destroying removes container, sockets and row. The repositories, state and session stay
in place (``agents/`` may be a separate mount, so they could not be moved atomically),
and messages stay queued: a restored agent is the same agent. Purging (``purge``)
removes these one by one.
"""

import asyncio
from dataclasses import dataclass
from typing import ClassVar, Final

from pyglue import names
from pyglue.api.common import OperationRef
from pyglue.api.event_values import NotificationKind
from pyglue.api.lifecycle import PurgeParams
from pyglue.api.manager import AgentParams
from pyglue.api.operations import Operation, OperationKind
from pyglue.api.questions import QuestionEnd, QuestionView
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.agents.kept_files import KeptFiles
from pyglue.host.agents.lifecycle import Lifecycle
from pyglue.host.agents.supervisor import Supervisor
from pyglue.host.backends.base import Backend
from pyglue.host.changes.systems import Systems
from pyglue.host.core.operations import Operations, queued
from pyglue.host.core.registry import Registry
from pyglue.host.core.transitions import Transitions
from pyglue.host.core.turns import end_turn
from pyglue.host.messages.notifications import Notifications
from pyglue.host.messages.questions import Questions
from pyglue.names import MANAGER, SYSTEM
from pyglue.store import agents, approvals, control, kept, reminders
from pyglue.store import questions as question_rows
from pyglue.store.database import Store, Tx

DESTROYED: Final = (
    "{name} was destroyed. Its state is kept; the operator can restore it."
)


@dataclass(frozen=True, kw_only=True)
class Destroy:
    """Queues the destruction of agents and the purge of kept state."""

    store: Store
    registry: Registry
    operations: Operations

    async def load(self) -> None:
        """Load the names of destroyed agents, for helpful errors; at start."""
        for found in await self.store.read(kept.all_kept):
            self.registry.absent(found.name, DESTROYED.format(name=found.name))

    async def destroy(self, params: AgentParams, by: str) -> OperationRef:
        """Queue the destruction of an agent.

        Raises:
            HiveError: ``not_found``; ``forbidden`` for the manager.
        """
        name = self.registry.get(params.agent).name
        if name == MANAGER:
            raise HiveError(
                ErrorCode.FORBIDDEN,
                "The manager cannot be destroyed: the hive needs it for proposals. "
                "Stop it, or roll it back to a working deployment.",
            )
        return await queued(self.operations.request(OperationKind.DESTROY, name, by=by))

    async def purge(self, params: PurgeParams, by: str) -> OperationRef:
        """Queue the purge of a destroyed agent's kept state.

        Raises:
            HiveError: ``not_found``; ``bad_request`` if the name is not repeated.
        """
        name = names.check(params.agent)
        await self.store.read(lambda reader: kept.require(reader, name))
        if params.confirm != name:
            raise HiveError(
                ErrorCode.BAD_REQUEST,
                f"Repeat the name {name!r} to confirm: purged data cannot be "
                "recovered.",
            )
        return await queued(self.operations.request(OperationKind.PURGE, name, by=by))


@dataclass(frozen=True, kw_only=True)
class DestroyHandler:
    """The handler of destroy operations."""

    steps: ClassVar[tuple[str, ...]] = (
        "drain",
        "stop",
        "remove",
        "keep",
        "clean",
        "fail",
    )

    store: Store
    registry: Registry
    transitions: Transitions
    drain_s: float
    lifecycle: Lifecycle
    supervisor: Supervisor
    backend: Backend
    kept_files: KeptFiles
    questions: Questions
    notifications: Notifications
    systems: Systems | None = None

    async def run(self, operation: Operation, step: str) -> str | None:
        """Do one step."""
        name = operation.agent
        match step:
            case "drain":
                agent = self.registry.get(name)
                await self.transitions.wanted(agent, False)
                await end_turn(
                    self.transitions,
                    agent,
                    within=self.drain_s,
                    reason="This agent is being destroyed.",
                )
                return "stop"
            case "stop":
                await self.lifecycle.stop(self.registry.get(name))
                return "remove"
            case "remove":
                await self.backend.remove(name)
                return "keep"
            case "keep":
                await self._keep(operation)
                return "clean"
            case "clean":
                await self._clean(operation)
                return None
            case "fail":
                await self._fail(operation)
                return None
        raise HiveError(ErrorCode.INTERNAL, f"Unknown step {step}.")

    def recover(self, step: str) -> str | None:
        """Return the step that repairs a failure: record the problem."""
        return "fail" if step in ("drain", "stop", "remove") else None

    async def _keep(self, operation: Operation) -> None:
        """Turn the agent into kept state, and close its open questions."""
        name = operation.agent
        agent = self.registry.find(name)
        if agent is not None:
            self.supervisor.forget(name)
            self.lifecycle.forget(agent)
        asked = await self.store.write(
            lambda tx: _put_away(tx, name, operation.requested_by)
        )
        self.registry.forget(name)
        self.registry.absent(name, DESTROYED.format(name=name))
        for question in asked:
            self.questions.audited(question, SYSTEM, QuestionEnd.CANCELLED)
            if question.to == name:
                text = f"{name} was destroyed; it will not answer."
                await self.questions.tell(question, text)

    async def _clean(self, operation: Operation) -> None:
        name = operation.agent
        await asyncio.to_thread(self.kept_files.forget_run, name)
        if self.systems is not None:
            await asyncio.to_thread(self.systems.flake.remove, name)
        found = await self.store.read(lambda reader: kept.get(reader, name))
        data = {
            "operation": operation.id,
            "approval": None if found is None else found.approval,
            "commit": None if found is None else found.commit,
        }
        await self.notifications.give(
            NotificationKind.DESTROYED,
            name,
            f"{name} was destroyed by {operation.requested_by}. Its state is kept; "
            "pending proposals for it are closed.",
            by=operation.requested_by,
            key=f"destroyed:{operation.id}",
            data=data,
        )

    async def _fail(self, operation: Operation) -> None:
        agent = self.registry.find(operation.agent)
        if agent is not None:
            why = f"Destroying it failed. {operation.error}"
            await self.transitions.problem_noted(agent, why)


def _put_away(tx: Tx, name: str, by: str) -> tuple[QuestionView, ...]:
    """Remove the rows; return the questions from or to the agent, now closed."""
    if agents.find(tx, name) is None:
        return ()
    kept.keep(tx, name, by=by)
    approvals.supersede_all(tx, name, f"{name} was destroyed.")
    reminders.remove_of(tx, name)
    open_ones = question_rows.open_with(tx, name)
    for question in open_ones:
        question_rows.close(tx, question.id, None, SYSTEM, QuestionEnd.CANCELLED)
    chosen = control.remove(tx, name)
    if chosen is not None and chosen.question is not None:
        about = question_rows.get(tx, chosen.question)
        if about.answered_at is None:
            question_rows.close(tx, about.id, None, SYSTEM, QuestionEnd.CANCELLED)
            return (*open_ones, about)
    return open_ones
