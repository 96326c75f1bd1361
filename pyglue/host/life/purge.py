"""Permanent removal: of a draft, or of a destroyed agent's kept state.

The handlers of discard and purge. Both close pending proposals, remove directories
under the lock of the name, and delete the rows last, so that steps are idempotent.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from pyglue.api.operations import Operation
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.agents.kept_files import KeptDirectory, KeptFiles
from pyglue.host.changes.proposals import Proposals
from pyglue.host.core.audit import Audit
from pyglue.host.core.registry import Registry
from pyglue.host.life.drafts import get as get_draft
from pyglue.store import (
    agents,
    approvals,
    drafts,
    history,
    kept,
    messages,
    metrics,
    quotas,
)
from pyglue.store import kept as kept_rows
from pyglue.store.database import Store, Tx
from pyglue.store.kept import Kept


@dataclass(frozen=True, kw_only=True)
class _Removing:
    store: Store
    registry: Registry
    proposals: Proposals
    kept_files: KeptFiles
    audit: Audit

    def recover(self, step: str) -> str | None:  # noqa: ARG002
        """Nothing to repair: the next attempt continues the removal."""
        return None

    async def _remove(self, name: str, remove: Callable[[str], None]) -> None:
        async with self.proposals.lock(name):
            await asyncio.to_thread(remove, name)


class DiscardHandler(_Removing):
    """The handler that discards a draft."""

    steps: ClassVar[tuple[str, ...]] = ("close", "remove", "forget")

    async def run(self, operation: Operation, step: str) -> str | None:
        """Do one step."""
        name = operation.agent
        match step:
            case "close":
                await self.store.write(lambda tx: self._close(tx, name))
                return "remove"
            case "remove":
                await self._remove(name, self.kept_files.forget_draft)
                return "forget"
            case "forget":
                await self.store.write(lambda tx: self._forget(tx, name))
                self.registry.absent(name, None)
                data = {"operation": operation.id}
                self.audit.record(operation.requested_by, "draft_discarded", name, data)
                return None
        raise HiveError(ErrorCode.INTERNAL, f"Unknown step {step}.")

    @staticmethod
    def _close(tx: Tx, name: str) -> None:
        get_draft(tx, name)
        approvals.supersede_all(tx, name, "The draft was discarded.")

    @staticmethod
    def _forget(tx: Tx, name: str) -> None:
        drafts.remove(tx, name)
        approvals.supersede_all(tx, name, "The draft was discarded.")


class PurgeHandler(_Removing):
    """The handler of purge operations."""

    steps: ClassVar[tuple[str, ...]] = (
        "close",
        *(directory.value for directory in KeptDirectory),
        "forget",
    )

    async def run(self, operation: Operation, step: str) -> str | None:
        """Do one step."""
        name = operation.agent
        if step == "close":
            await self.store.write(lambda tx: self._close(tx, name))
        elif step == "forget":
            await self._forget(operation)
            return None
        else:
            directory = KeptDirectory(step)
            await self._remove(
                name, lambda it: self.kept_files.remove(it, directory, confirmed=True)
            )
        return self.steps[self.steps.index(step) + 1]

    @staticmethod
    def _close(tx: Tx, name: str) -> None:
        kept_rows.require(tx, name)
        approvals.supersede_all(tx, name, f"The kept state of {name} is purged.")

    async def _forget(self, operation: Operation) -> None:
        name = operation.agent

        def forget(tx: Tx) -> tuple[Kept | None, int]:
            found = kept.get(tx, name)
            if found is None:
                return None, 0
            approvals.supersede_all(tx, name, f"The kept state of {name} is purged.")
            kept.remove(tx, name)
            metrics.forget(tx, name)
            history.forget(tx, name)
            quotas.forget(tx, name)
            agents.forget_turns(tx, name)
            return found, messages.let_go(tx, name)

        found, count = await self.store.write(forget)
        self.registry.absent(name, None)
        data = {
            "operation": operation.id,
            "commit": None if found is None else found.commit,
            "approval": None if found is None else found.approval,
            "mail": count,
        }
        self.audit.record(operation.requested_by, "purged", name, data)
