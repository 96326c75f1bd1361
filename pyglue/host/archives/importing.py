"""The handler that adopts an agent whose archive was checked (``imports``).

The directories are moved into place, the agent is kept like a destroyed one, and its
restoration is proposed. Every step may be repeated.
"""

import asyncio
from dataclasses import dataclass
from typing import ClassVar, Final

from pyglue.api.operations import Operation
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.agents.directories import Directories
from pyglue.host.agents.kept_files import KeptDirectory, KeptFiles
from pyglue.host.archives.imports import DIRECTORIES, Imports, Staged
from pyglue.host.changes.proposals import Proposals
from pyglue.host.changes.redeploy import Redeploy
from pyglue.host.core.audit import Audit
from pyglue.host.core.registry import Registry
from pyglue.store import approvals, kept
from pyglue.store import operations as operation_rows
from pyglue.store.database import Store

_ABSENT: Final = "{name} was imported and becomes an agent only when that is approved."


@dataclass(frozen=True, kw_only=True)
class ImportHandler:
    """Adopts checked archives."""

    steps: ClassVar[tuple[str, ...]] = ("place", "keep", "propose", "undo")

    imports: Imports
    store: Store
    registry: Registry
    proposals: Proposals
    redeploy: Redeploy
    directories: Directories
    kept_files: KeptFiles
    audit: Audit
    config: HiveConfig

    async def run(self, operation: Operation, step: str) -> str | None:
        """Do one step."""
        name = operation.agent
        payload = await self.store.read(
            lambda reader: operation_rows.arguments(reader, operation.id)
        )
        staged = self.imports.staged(payload["key"])
        match step:
            case "place":
                async with self.proposals.lock(name):
                    await asyncio.to_thread(self._place, name, staged)
                return "keep"
            case "keep":
                await self._keep(operation, payload["commit"])
                return "propose"
            case "propose":
                number = await self._propose(operation)
                note = f"Approval {number} is pending"
                values = {**payload, "note": note, "approval": number}
                await self.store.write(
                    lambda tx: operation_rows.set_arguments(tx, operation.id, values)
                )
                return None
            case "undo":
                async with self.proposals.lock(name):
                    await asyncio.to_thread(self._undo, name, staged)
                await self.store.write(lambda tx: kept.remove(tx, name))
                self.registry.absent(name, None)
                return None
        raise HiveError(ErrorCode.INTERNAL, f"Unknown step {step}.")

    def recover(self, step: str) -> str | None:
        """Return the step that repairs a failure of ``step``; kept state stays kept."""
        return "undo" if step in ("place", "keep") else None

    def _place(self, name: str, staged: Staged) -> None:
        layout = self.config.layout
        self.directories.settle_port(name)
        self.directories.adopt(staged.agents / "state", layout.agent_state(name))
        self.directories.adopt(staged.private / "session", layout.session(name))
        self.directories.adopt(staged.applied / "repo", layout.applied(name))
        self.directories.make_draft(name)
        for directory in staged.all:
            self.kept_files.remove_tree(directory)

    async def _keep(self, operation: Operation, commit: str) -> None:
        name = operation.agent
        by = operation.requested_by
        await self.store.write(
            lambda tx: kept.insert(
                tx, name, by=by, description="Imported from an archive.", commit=commit
            )
        )
        self.registry.absent(name, _ABSENT.format(name=name))
        data = {"commit": commit, "operation": operation.id}
        self.audit.record(by, "imported", name, data)

    async def _propose(self, operation: Operation) -> int:
        """Return the pending approval: created now, or before a crash."""
        name = operation.agent
        waiting = await self.store.read(lambda reader: approvals.pending(reader, name))
        if waiting:
            return waiting[0].id
        try:
            result = await self.redeploy.restore(name, operation.requested_by)
        except HiveError as error:
            raise HiveError(
                error.code,
                f"{name} was imported and its state is kept, but it could not be "
                f"proposed: {error.message} Next, run hive restore {name}, or hive "
                f"purge {name}.",
            ) from error
        return result.approval

    def _undo(self, name: str, staged: Staged) -> None:
        self.kept_files.need_never_ran(name)
        for directory in (*DIRECTORIES, KeptDirectory.APPLIED):
            self.kept_files.remove(name, directory)
        for place in staged.all:
            self.kept_files.remove_tree(place)
