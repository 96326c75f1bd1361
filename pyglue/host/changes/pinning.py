"""From an evaluated commit to an approval: pin, compare, tag, queue.

``proposals`` passes new commits, ``redeploy`` earlier ones. The record is pinned byte
for byte, compared with the deployed one, written into a tag, and only then queued.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyglue.api.approvals import ApprovalKind, ApprovalState, Effect, PolicyChange
from pyglue.api.manager import ProposalResult
from pyglue.api.operations import Operation, OperationKind
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.repos import AppliedRepo
from pyglue.git.tags import TagKind
from pyglue.host.agents.container_limits import defaults_of
from pyglue.host.changes.evaluation import Evaluated, Evaluation
from pyglue.host.changes.systems import Systems
from pyglue.host.core.audit import Audit
from pyglue.host.core.name_conflicts import check_free
from pyglue.host.core.operations import Operations
from pyglue.host.core.registry import Registry
from pyglue.host.policy import diff as policy
from pyglue.manifest import proposal_checks
from pyglue.manifest.record import PinnedRecord
from pyglue.store import agents, drafts, kept
from pyglue.store import approvals as rows
from pyglue.store import operations as operation_rows
from pyglue.store.approvals import NewApproval
from pyglue.store.database import Store, Tx
from pyglue.text.display import in_quotes

OPERATIONS = {
    ApprovalKind.SPAWN: OperationKind.SPAWN,
    ApprovalKind.CHANGE: OperationKind.DEPLOY,
    ApprovalKind.RESTORE: OperationKind.RESTORE,
    ApprovalKind.ROLLBACK: OperationKind.ROLLBACK,
    ApprovalKind.REBUILD: OperationKind.REBUILD,
}
"""The operation that an approval of each kind queues."""


@dataclass(frozen=True, kw_only=True)
class Proposed:
    """A proposal whose commit is in the applied repository."""

    agent: str
    kind: ApprovalKind
    commit: str
    main: str | None
    author: str
    message: str
    description: str
    by: str


@dataclass(frozen=True, kw_only=True)
class Pinning:
    """Pins an evaluated commit; queues it for review, or deploys it at once."""

    store: Store
    registry: Registry
    evaluation: Evaluation
    operations: Operations
    audit: Audit
    config: HiveConfig
    limits_hold: bool = True
    """Whether memory and CPU limits of containers are enforced here."""

    async def propose(self, repo: AppliedRepo, proposed: Proposed) -> ProposalResult:
        """Evaluate a new commit, and queue it for the operator.

        Raises:
            HiveError: the manifest is invalid or exceeds a limit.
        """
        commit, name = proposed.commit, proposed.agent
        found = await self.evaluation.checked(repo, commit, name)
        return await self.queue(repo, proposed, found)

    async def queue(
        self, repo: AppliedRepo, proposed: Proposed, found: Evaluated
    ) -> ProposalResult:
        """Queue an evaluated commit for the operator.

        Raises:
            HiveError: ``conflict``, ``not_based_on_main`` if the agent changed
                meanwhile.
        """
        result, _ = await self._queue(repo, proposed, found, approved=False)
        return result

    async def approved(
        self, repo: AppliedRepo, proposed: Proposed, found: Evaluated
    ) -> Operation:
        """Queue the operation at once: the proposer is the operator."""
        _, operation = await self._queue(repo, proposed, found, approved=True)
        if operation is None:
            raise HiveError(ErrorCode.INTERNAL, "The approval queued no operation.")
        self.operations.enqueue(operation)
        return operation

    async def _queue(
        self, repo: AppliedRepo, proposed: Proposed, found: Evaluated, *, approved: bool
    ) -> tuple[ProposalResult, Operation | None]:
        try:
            return await self._queued(repo, proposed, found, approved=approved)
        except BaseException:
            self.evaluation.drop(found)
            raise

    async def _queued(
        self, repo: AppliedRepo, proposed: Proposed, found: Evaluated, *, approved: bool
    ) -> tuple[ProposalResult, Operation | None]:
        reserved = self.store.write(rows.reserve_id)  # in parallel with ``_new``
        new = await self._new(proposed, found)
        number = await reserved
        await asyncio.to_thread(
            repo.tag, TagKind.PROPOSAL, number, proposed.commit, new.record
        )
        systems = self.evaluation.systems
        if systems is not None and found.rooted is not None:
            systems.roots.assign(found.rooted.root, number)

        def insert(tx: Tx) -> Operation | None:
            _check_still_possible(tx, repo, new)
            rows.insert(tx, number, new, approved_by=proposed.by if approved else None)
            if found.rooted is not None:
                Systems.insert(tx, number, found.rooted)
            return self._operation(tx, number, new) if approved else None

        operation = await self.store.write(insert)
        data = {"approval": number, "commit": new.commit, "kind": new.kind.value}
        data["manifest"] = new.manifest_sha256
        what = f"{new.kind.value}_requested" if approved else "proposed"
        self.audit.record(proposed.by, what, proposed.agent, data)
        result = ProposalResult(
            approval=number,
            commit=proposed.commit,
            manifest_sha256=new.manifest_sha256,
            widens=tuple(
                change.sentence
                for change in new.policy
                if change.effect is Effect.WIDENS
            ),
            notes=(*_notes(found), *self.evaluation.without_effect(found)),
        )
        return result, operation

    async def _new(self, proposed: Proposed, found: Evaluated) -> NewApproval:
        """Pin the record, and compare it with the deployed one."""
        rooted = found.rooted
        record = PinnedRecord(
            found.manifest, None if rooted is None else rooted.new.drv
        )
        before, nixos_before = await self._before(proposed.agent)
        changes = policy.diff_policy(
            before,
            found.manifest,
            nixos_before,
            found.nixos_options,
            resolve=self.config.catalogue.resolve,
            system=None if rooted is None else rooted.change,
            defaults=defaults_of(self.config),
            limits_hold=self.limits_hold,
        )
        return NewApproval(
            agent=proposed.agent,
            kind=proposed.kind,
            commit=proposed.commit,
            main=proposed.main,
            record=record.encode(),
            manifest_sha256=record.sha256,
            nixos_options=found.nixos_options,
            policy=(*changes, *map(_noted, _notes(found))),
            description=proposed.description,
            proposed_by=proposed.by,
            author=proposed.author,
            message=proposed.message,
        )

    def _operation(self, tx: Tx, number: int, new: NewApproval) -> Operation:
        kind = OPERATIONS[new.kind]
        operation = operation_rows.insert(
            tx,
            kind=kind,
            agent=new.agent,
            requested_by=new.proposed_by,
            approval=number,
        )
        rows.progress(tx, number, ApprovalState.APPROVED, operation=operation.id)
        return operation

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
    """Return notes for proposer and operator; none of them refuses the proposal."""
    return (
        *proposal_checks.notes(found.manifest),
        *(
            "Printed by Nix, in the words of agent.nix or of a NixOS module: "
            f"{in_quotes(x)}"
            for x in dict.fromkeys(found.printed)
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


def _check_still_possible(tx: Tx, repo: AppliedRepo, new: NewApproval) -> None:
    """Refuse a proposal whose agent or main changed during the evaluation."""
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
