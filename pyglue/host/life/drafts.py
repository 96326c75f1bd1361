"""Drafts: the repository and state of an agent that does not exist yet.

The manager (or the operator) creates one from the template, changes it in place, and
proposes its first commit as the agent's. A draft does not run and has no socket; it
becomes an agent, or is discarded with all its files. Creating and discarding are
operations: the transaction that queues the creation takes the name.
"""

import asyncio
import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from pyglue import names
from pyglue.api.common import NoParams, OperationRef
from pyglue.api.event_values import NotificationKind
from pyglue.api.lifecycle import DraftsResult, DraftView
from pyglue.api.manager import AgentParams, DraftResult
from pyglue.api.operations import Operation, OperationKind
from pyglue.config import Quotas
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.host_commits import seed_main
from pyglue.git.repos import AppliedRepo
from pyglue.host.agents.directories import Directories
from pyglue.host.agents.kept_files import KeptFiles
from pyglue.host.changes.proposals import Proposals
from pyglue.host.changes.template import read_template
from pyglue.host.core.name_conflicts import check_free
from pyglue.host.core.operations import Operations, queued
from pyglue.host.core.registry import Registry
from pyglue.host.messages.notifications import Notifications
from pyglue.names import MANAGER
from pyglue.paths import Layout
from pyglue.store import approvals, drafts
from pyglue.store import operations as operation_rows
from pyglue.store.database import Reader, Store, Tx
from pyglue.store.drafts import Draft

_ABSENT: Final = (
    "{name} is a draft and becomes an agent only when its first commit is approved."
)


@dataclass(frozen=True, kw_only=True)
class Drafts:
    """Lists, creates and discards drafts."""

    store: Store
    registry: Registry
    operations: Operations
    layout: Layout
    quotas: Quotas

    async def load(self) -> None:
        """Load the names of drafts, for helpful errors; at start."""
        for draft in await self.store.read(drafts.all_drafts):
            self.registry.absent(draft.name, _ABSENT.format(name=draft.name))

    async def all(self, _params: NoParams) -> DraftsResult:
        """Return all drafts."""

        def read(reader: Reader) -> tuple[tuple[Draft, ...], dict[str, int]]:
            pending = {row.agent: row.id for row in approvals.pending(reader)}
            return drafts.all_drafts(reader), pending

        found, pending = await self.store.read(read)
        mains = await asyncio.to_thread(lambda: [self._main(one.name) for one in found])
        return DraftsResult(
            drafts=tuple(
                DraftView(
                    name=one.name,
                    created_at=one.created_at,
                    by=one.by,
                    description=one.description,
                    main=main,
                    pending_approval=pending.get(one.name),
                )
                for one, main in zip(found, mains, strict=True)
            )
        )

    async def make(self, name: str, description: str, by: str) -> DraftResult:
        """Create a draft from the template; return when it exists.

        Raises:
            HiveError: ``invalid_name``, ``name_reserved``, ``name_taken``,
                ``too_many``; ``unavailable`` with the reason.
        """
        names.check_new(name)

        def take(tx: Tx) -> Operation:
            check_free(tx, name)
            there = len(drafts.all_drafts(tx))
            most = self.quotas.drafts
            if by == MANAGER and most is not None and there >= most:
                raise HiveError(
                    ErrorCode.TOO_MANY,
                    f"There are {there} drafts, which is the limit. Propose one, or "
                    "ask the operator to discard some.",
                )
            drafts.insert(tx, name, by=by, description=description)
            return operation_rows.insert(
                tx, kind=OperationKind.DRAFT, agent=name, requested_by=by
            )

        operation = await self.store.write(take)
        self.registry.absent(name, _ABSENT.format(name=name))
        self.operations.requested(operation)
        ended = await self.operations.get(operation.id, math.inf)
        main = await asyncio.to_thread(self._main, name)
        if ended.error is not None or main is None:
            why = ended.error or "It was discarded."
            raise HiveError(
                ErrorCode.UNAVAILABLE, f"Could not create the draft {name}. {why}"
            )
        return DraftResult(name=name, main=main)

    async def discard(self, params: AgentParams, by: str) -> OperationRef:
        """Queue the removal of a draft.

        Raises:
            HiveError: ``not_found``.
        """
        name = names.check(params.agent)
        await self.store.read(lambda reader: get(reader, name))
        return await queued(self.operations.request(OperationKind.DISCARD, name, by=by))

    def _main(self, name: str) -> str | None:
        path = self.layout.applied(name)
        return AppliedRepo(path).main() if path.is_dir() else None


def get(reader: Reader | Tx, name: str) -> Draft:
    """Return a draft.

    Raises:
        HiveError: ``not_found``; it lists the existing drafts.
    """
    found = drafts.get(reader, name)
    if found is None:
        rows = reader.execute("SELECT name FROM draft ORDER BY name").fetchall()
        known = ", ".join(row[0] for row in rows) or "none"
        raise HiveError(
            ErrorCode.NOT_FOUND, f"There is no draft {name!r}. Drafts: {known[:400]}."
        )
    return found


@dataclass(frozen=True, kw_only=True)
class DraftHandler:
    """The handler that creates a draft."""

    steps: ClassVar[tuple[str, ...]] = ("seed", "directories", "finish", "undo")

    store: Store
    registry: Registry
    proposals: Proposals
    directories: Directories
    kept_files: KeptFiles
    notifications: Notifications
    layout: Layout
    templates: Path

    async def run(self, operation: Operation, step: str) -> str | None:
        """Do one step."""
        name = operation.agent
        match step:
            case "seed":
                found = await self.store.read(lambda reader: get(reader, name))
                async with self.proposals.lock(name):
                    await asyncio.to_thread(self._seed, name, found.description)
                return "directories"
            case "directories":
                await asyncio.to_thread(self.directories.make_draft, name)
                return "finish"
            case "finish":
                await self._finish(operation)
                return None
            case "undo":
                async with self.proposals.lock(name):
                    await asyncio.to_thread(self.kept_files.forget_draft, name)
                await self.store.write(lambda tx: drafts.remove(tx, name))
                self.registry.absent(name, None)
                return None
        raise HiveError(ErrorCode.INTERNAL, f"Unknown step {step}.")

    def recover(self, step: str) -> str | None:
        """Return the step that repairs a failure: it removes the whole draft."""
        return None if step == "undo" else "undo"

    def _seed(self, name: str, description: str) -> None:
        self.directories.settle_port(name)
        repo = AppliedRepo.create(self.layout.applied(name))
        files = read_template(self.templates, description)
        seed_main(repo, files, message=f"Create the draft {name} from the template")

    async def _finish(self, operation: Operation) -> None:
        name = operation.agent
        main = await asyncio.to_thread(AppliedRepo(self.layout.applied(name)).main)
        await self.notifications.give(
            NotificationKind.DRAFT_CREATED,
            name,
            f"Created the draft {name}: edit it in /agents/{name}/config, commit, and "
            "propose the commit with request_spawn_commit.",
            by=operation.requested_by,
            key=f"draft:{operation.id}",
            data={"commit": main},
            to_manager=operation.requested_by != MANAGER,
        )
