"""From a commit in an applied repository to an approval: evaluate, pin, tag, queue.

``proposals`` brings new commits here, ``redeploy`` what was there before. The tree is
evaluated once in the restricted evaluator, validated against the trusted options and
the operator's limits, pinned, tagged, compared, and only then queued. Where agents are
NixOS systems, the system is evaluated too, and compared with what is deployed. Nothing
is built or fetched here.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyglue import manifest_checks, manifest_schema
from pyglue.api.approvals import ApprovalKind, ApprovalState, Effect, PolicyChange
from pyglue.api.manager import ProposalResult
from pyglue.api.operations import Operation, OperationKind
from pyglue.config import HiveConfig
from pyglue.display import listed, said, visible
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.export import export_tree
from pyglue.git.repos import AppliedRepo
from pyglue.git.tags import TagKind
from pyglue.host.agents.container_limits import defaults_of
from pyglue.host.changes.systems import Held, Systems
from pyglue.host.core.audit import Audit
from pyglue.host.core.name_conflicts import check_free
from pyglue.host.core.operations import Operations
from pyglue.host.core.registry import Registry
from pyglue.host.core.workspaces import Workspaces
from pyglue.host.policy import diff as policy
from pyglue.host.policy.operator_limits import check_operator_limits
from pyglue.manifest import PinnedRecord
from pyglue.names import MANAGER
from pyglue.nix import Evaluator
from pyglue.store import agents, drafts, kept
from pyglue.store import approvals as rows
from pyglue.store.approvals import NewApproval
from pyglue.store.database import Store, Tx

OPERATIONS = {
    ApprovalKind.SPAWN: OperationKind.SPAWN,
    ApprovalKind.CHANGE: OperationKind.DEPLOY,
    ApprovalKind.RESTORE: OperationKind.RESTORE,
    ApprovalKind.ROLLBACK: OperationKind.ROLLBACK,
    ApprovalKind.REBUILD: OperationKind.REBUILD,
}
"""What approving queues."""


@dataclass(frozen=True)
class Proposed:
    """What is being proposed, once its commit is in the applied repository."""

    agent: str
    kind: ApprovalKind
    commit: str
    main: str | None
    author: str
    message: str
    description: str
    by: str


@dataclass(frozen=True)
class Evaluated:
    """What a commit says: ``held`` is its system, None where agents have none.

    ``evaluated_at`` is where the evaluation saw its files; empty if there was none.
    ``said`` is what it printed.
    """

    manifest: Mapping[str, Any]
    nixos_options: tuple[str, ...]
    held: Held | None
    evaluated_at: str = ""
    said: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Evaluates and queues."""

    store: Store
    registry: Registry
    evaluator: Evaluator
    operations: Operations
    audit: Audit
    config: HiveConfig
    workspaces: Workspaces
    systems: Systems | None = None
    limits_hold: bool = True
    _room: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(2), init=False
    )

    async def render(self, repo: AppliedRepo, proposed: Proposed) -> ProposalResult:
        """Evaluate what is proposed, and let it wait for the operator.

        Raises:
            HiveError: whatever is wrong with the manifest or its limits.
        """
        found = await self.evaluate(repo, proposed.commit, proposed.agent)
        try:
            await asyncio.to_thread(
                manifest_checks.check,
                found.manifest,
                evaluated_at=found.evaluated_at,
                nixos_options=found.nixos_options,
                ignored=self.systems is None,
                models=self.config.catalogue,
            )
        except HiveError:
            self.drop(found)
            raise
        return await self.queue(repo, proposed, found)

    async def queue(
        self, repo: AppliedRepo, proposed: Proposed, found: Evaluated
    ) -> ProposalResult:
        """Let what was evaluated wait for the operator."""
        result, _ = await self._queue(repo, proposed, found, approved=False)
        return result

    async def approved(
        self, repo: AppliedRepo, proposed: Proposed, found: Evaluated
    ) -> Operation:
        """Queue the operation at once: who proposed it may decide it too."""
        _, operation = await self._queue(repo, proposed, found, approved=True)
        if operation is None:
            raise HiveError(ErrorCode.INTERNAL, "The approval queued no operation.")
        self.operations.enqueue(operation)
        return operation

    async def evaluate(self, repo: AppliedRepo, commit: str, name: str) -> Evaluated:
        """Evaluate a commit; ``queue`` or ``drop`` what is returned.

        Raises:
            HiveError: whatever is wrong with the manifest or its limits.
        """
        async with self._room, self.evaluator.tree() as tree:
            await asyncio.to_thread(export_tree, repo, commit, tree.directory)
            found = await tree.evaluate(commit=commit)
            manifest = manifest_schema.validate(found.manifest)
            self.check_limits(PinnedRecord(manifest, None))
            held = await self._system(tree.directory, manifest, name)
        options = found.nixos_options
        if held is not None and held.nixos_options is not None:
            options = held.nixos_options  # of the evaluation that counts
        printed = found.said if held is None else (*found.said, *held.said)
        return Evaluated(manifest, options, held, found.evaluated_at, printed)

    def check_limits(self, record: PinnedRecord) -> None:
        """Refuse what the operator's limits forbid, or what this hive does not have.

        Raises:
            HiveError: with the option and the limit; with the workspace.
        """
        check_operator_limits(
            record.typed, self.config.limits, resolve=self.config.catalogue.resolve
        )
        self.workspaces.check(record.typed)

    def drop(self, found: Evaluated) -> None:
        """Let go what was evaluated: nothing comes of it."""
        if self.systems is not None and found.held is not None:
            self.systems.roots.drop(found.held.root)

    async def _queue(
        self,
        repo: AppliedRepo,
        proposed: Proposed,
        found: Evaluated,
        *,
        approved: bool,
    ) -> tuple[ProposalResult, Operation | None]:
        try:
            return await self._queued(repo, proposed, found, approved=approved)
        except BaseException:
            self.drop(found)
            raise

    async def _queued(
        self,
        repo: AppliedRepo,
        proposed: Proposed,
        found: Evaluated,
        *,
        approved: bool,
    ) -> tuple[ProposalResult, Operation | None]:
        reserved = self.store.write(rows.reserve_id)  # written meanwhile
        held = found.held
        record = PinnedRecord(found.manifest, None if held is None else held.new.drv)
        encoded = record.encode()
        before, nixos_before = await self._before(proposed.agent)
        changes = policy.diff_policy(
            before,
            found.manifest,
            nixos_before,
            found.nixos_options,
            resolve=self.config.catalogue.resolve,
            system=None if held is None else held.change,
            defaults=defaults_of(self.config),
            limits_hold=self.limits_hold,
        )
        notes = _notes(found)
        changes = (*changes, *map(_noted, notes))
        number = await reserved
        await asyncio.to_thread(
            repo.tag, TagKind.PROPOSAL, number, proposed.commit, encoded
        )
        new = NewApproval(
            agent=proposed.agent,
            kind=proposed.kind,
            commit=proposed.commit,
            main=proposed.main,
            record=encoded,
            manifest_sha256=record.sha256,
            nixos_options=found.nixos_options,
            policy=changes,
            description=proposed.description,
            proposed_by=proposed.by,
            author=proposed.author,
            message=proposed.message,
        )
        if self.systems is not None and held is not None:
            self.systems.roots.assign(held.root, number)

        def insert(tx: Tx) -> Operation | None:
            _check_stands(tx, repo, new)
            rows.insert(tx, number, new, approved_by=proposed.by if approved else None)
            if held is not None:
                Systems.insert(tx, number, held)
            if not approved:
                return None
            kind = OPERATIONS[new.kind]
            operation = self.operations.insert(
                tx, kind, new.agent, by=proposed.by, approval=number
            )
            state = ApprovalState.APPROVED
            rows.progress(tx, number, state, operation=operation.id)
            return operation

        operation = await self.store.write(insert)
        data = {"approval": number, "commit": new.commit, "kind": new.kind.value}
        data["manifest"] = new.manifest_sha256
        what = f"{new.kind.value}_requested" if approved else "proposed"
        self.audit.record(proposed.by, what, proposed.agent, data)
        result = ProposalResult(
            approval=number,
            commit=proposed.commit,
            manifest_sha256=record.sha256,
            widens=tuple(
                change.sentence for change in changes if change.effect is Effect.WIDENS
            ),
            notes=(*notes, *self._ignored(found)),
        )
        return result, operation

    def _ignored(self, found: Evaluated) -> tuple[str, ...]:
        """Return what the proposer should know of; the policy diff has it too."""
        if self.systems is not None or not found.nixos_options:
            return ()
        names = listed(map(visible, found.nixos_options))
        return (
            f"Without effect, because this hive runs agents without NixOS: {names}.",
        )

    async def _system(
        self, directory: Path, manifest: Mapping[str, Any], name: str
    ) -> Held | None:
        if self.systems is None:
            return None
        agent = self.registry.find(name)
        return await self.systems.evaluate(
            directory,
            manifest,
            name=name,
            manager=name == MANAGER,
            deployed=None if agent is None else agent.approval,
        )

    async def _before(
        self, name: str
    ) -> tuple[Mapping[str, Any] | None, tuple[str, ...]]:
        agent = self.registry.find(name)
        if agent is None or agent.record is None or agent.approval is None:
            return None, ()
        number = agent.approval
        deployed = await self.store.read(lambda reader: rows.get(reader, number))
        return agent.record.manifest, deployed.nixos_options


def _notes(found: Evaluated) -> tuple[str, ...]:
    """Return what proposer and operator should know, without refusing anything."""
    return (
        *manifest_checks.notes(found.manifest),
        *(
            f"Printed by Nix, in the words of agent.nix or of a NixOS module: {said(x)}"
            for x in dict.fromkeys(found.said)
        ),
    )


def _noted(note: str) -> PolicyChange:
    return PolicyChange(
        option="agent.nix",
        effect=Effect.NEUTRAL,
        sentence=note,
        before=None,
        after=None,
    )


def _check_stands(tx: Tx, repo: AppliedRepo, new: NewApproval) -> None:
    """Refuse what meanwhile is about something else, in the queueing transaction."""
    name = new.agent
    if new.kind is ApprovalKind.SPAWN:
        if new.main is None:
            check_free(tx, name, again=True)
        elif drafts.get(tx, name) is None:
            raise _meanwhile(f"The draft {name} was discarded during the evaluation.")
        return
    if new.kind is ApprovalKind.RESTORE:
        if kept.get(tx, name) is None:
            raise _meanwhile(
                f"The kept state of {name} was purged during the evaluation."
            )
        return
    if agents.find(tx, name) is None:
        raise _meanwhile(f"{name} was destroyed during the evaluation.")
    main = repo.main()
    if main != new.main:
        raise HiveError(
            ErrorCode.NOT_BASED_ON_MAIN,
            f"main moved to {main} during the evaluation. Rebase your commit on it "
            "and submit again.",
            details={"main": main},
        )


def _meanwhile(what: str) -> HiveError:
    return HiveError(ErrorCode.CONFLICT, f"{what} Nothing was proposed.")
