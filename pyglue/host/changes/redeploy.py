"""Redeploying earlier content: restore, rollback, retry, rebuild.

None of this is new content. A retry deploys an approved commit whose deployment failed.
A restore is proposed and reviewed like a new agent. A rollback is the operator's own
decision for something they approved before. A rebuild keeps commit and manifest, byte
for byte. If it results in the deployed system, it runs at once; if the system differs
for any reason, it becomes a proposal: the operator sees the differences before anything
is built.
"""

import asyncio
from dataclasses import dataclass, replace

from pyglue import names
from pyglue.api.approvals import ApprovalKind, ApprovalsParams, ApprovalState
from pyglue.api.manager import ProposalResult, RebuildResult
from pyglue.api.operations import Operation
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.host_commits import commit_tree_of
from pyglue.git.repos import AppliedRepo
from pyglue.git.tags import AUTHOR_NAME, TagKind
from pyglue.host.changes.evaluation import Evaluated, Evaluation
from pyglue.host.changes.pinning import Pinning, Proposed
from pyglue.host.changes.proposals import Proposals
from pyglue.host.changes.systems import Systems
from pyglue.host.core.agent import Agent
from pyglue.host.core.registry import Registry
from pyglue.manifest import schema
from pyglue.manifest.record import PinnedRecord, canonical, decode
from pyglue.store import approvals as rows
from pyglue.store import kept as kept_rows
from pyglue.store.database import Store


@dataclass(frozen=True, kw_only=True)
class Redeploy:
    """Restores, rolls back, rebuilds and retries."""

    store: Store
    registry: Registry
    proposals: Proposals
    evaluation: Evaluation
    pinning: Pinning
    config: HiveConfig
    systems: Systems | None = None

    async def restore(self, name: str, by: str) -> ProposalResult:
        """Propose the restoration of a destroyed agent.

        Raises:
            HiveError: ``not_found``; ``conflict`` if it was never deployed; if the
                operator's current limits forbid it.
        """
        names.check(name)
        async with self.proposals.lock(name):
            found = await self.store.read(
                lambda reader: kept_rows.require(reader, name)
            )
            if found.commit is None:
                raise HiveError(
                    ErrorCode.CONFLICT,
                    f"{name} was never deployed, so there is nothing to restore. "
                    "Purge it, then spawn it again.",
                )
            repo = AppliedRepo(self.config.layout.applied(name))
            description = f"Restore {name} to its state before it was destroyed."
            if found.record is None or found.approval is None:  # never deployed here
                again = await self.evaluation.evaluate(repo, found.commit, name)
                description = found.description
            else:
                again = await self._again(
                    repo, found.commit, decode(found.record), found.approval, name
                )
            proposed = Proposed(
                agent=name,
                kind=ApprovalKind.RESTORE,
                commit=found.commit,
                main=found.commit,
                author=AUTHOR_NAME,
                message=repo.commit(found.commit).message,
                description=description,
                by=by,
            )
            return await self.pinning.queue(repo, proposed, again)

    async def rollback(self, name: str, approval: int, by: str) -> Operation:
        """Deploy again what an earlier approval deployed, as a new commit on main.

        Raises:
            HiveError: ``not_found``; ``conflict`` if it was never deployed, or is
                deployed now; if the operator's current limits forbid it.
        """
        async with self.proposals.lock(name):
            agent = self.registry.get(name)
            repo = AppliedRepo(self.config.layout.applied(name))
            old = await self._deployed_before(agent, repo, approval)
            again = await self._again(
                repo, old.commit, decode(old.record), old.id, name
            )
            again = self._as_approved(
                again,
                decode(old.record),
                f"The system of approval {old.id} has been deleted, and "
                "evaluating its files with this version of the hive gives a "
                "different manifest. Have the files proposed as a change.",
            )
            main = await asyncio.to_thread(repo.main)
            message = (
                f"Roll back to approval {old.id}\n\nContains the files of {old.commit}."
            )
            commit = await asyncio.to_thread(
                commit_tree_of, repo, old.commit, parent=main or "", message=message
            )
            proposed = Proposed(
                agent=name,
                kind=ApprovalKind.ROLLBACK,
                commit=commit,
                main=main,
                author=AUTHOR_NAME,
                message=message,
                description=f"Roll back to the deployment of approval {old.id}.",
                by=by,
            )
            return await self.pinning.approved(repo, proposed, again)

    async def retry(self, number: int, by: str) -> Operation:
        """Deploy a failed approval once more, exactly as approved.

        Raises:
            HiveError: ``not_found``; ``conflict`` if it did not fail, or the agent has
                a newer approval; ``not_based_on_main``; if the operator's current
                limits forbid it.
        """
        name = (await self.store.read(lambda reader: rows.get(reader, number))).agent
        async with self.proposals.lock(name):
            old = await self._failed(number)
            repo = AppliedRepo(self.config.layout.applied(name))
            record = decode(old.record)
            again = self._as_approved(
                await self._again(repo, old.commit, record, old.id, name),
                record,
                f"With this version of the hive, approval {number} would give "
                "a different manifest. Have its files proposed again.",
            )
            proposed = Proposed(
                agent=name,
                kind=self._kind_again(old),
                commit=old.commit,
                main=old.main,
                author=old.author,
                message=old.message,
                description=f"Try approval {old.id} again. {old.description}",
                by=by,
            )
            return await self.pinning.approved(repo, proposed, again)

    async def _failed(self, number: int) -> rows.ApprovalRow:
        old = await self.store.read(lambda reader: rows.get(reader, number))
        asked = ApprovalsParams(agent=old.agent, limit=1)
        history = await self.store.read(lambda reader: rows.search(reader, asked))
        if old.state is not ApprovalState.FAILED:
            raise HiveError(
                ErrorCode.CONFLICT,
                f"Approval {number} is {old.state}; only a failed one can be retried.",
            )
        if history[0].id != number:
            raise HiveError(
                ErrorCode.CONFLICT,
                f"{old.agent} has a newer approval than {number}: {history[0].id}.",
            )
        return old

    def _kind_again(self, old: rows.ApprovalRow) -> ApprovalKind:
        """Return the kind; a spawn may have created the agent before it failed."""
        first = old.kind in (ApprovalKind.SPAWN, ApprovalKind.RESTORE)
        there = self.registry.find(old.agent) is not None
        return ApprovalKind.CHANGE if first and there and old.main else old.kind

    async def rebuild(self, name: str, by: str) -> RebuildResult:
        """Evaluate the deployed commit again; deploy or propose the result.

        Raises:
            HiveError: ``not_found``; ``agent_not_running`` if nothing is deployed;
                ``conflict`` if the manifest would change; if its files are no longer
                valid.
        """
        async with self.proposals.lock(name):
            agent = self.registry.get(name)
            if agent.record is None or agent.commit is None:
                raise HiveError(
                    ErrorCode.AGENT_NOT_RUNNING,
                    f"{name} has not been deployed yet; approve a proposal first.",
                )
            repo = AppliedRepo(self.config.layout.applied(name))
            again = self._as_approved(
                await self.evaluation.evaluate(repo, agent.commit, name),
                agent.record,
                f"Rebuilt with this version of the hive, {name} would have a "
                "different manifest, which nobody has approved. Have a commit "
                "proposed: the approval shows the differences.",
            )
            proposed = Proposed(
                agent=name,
                kind=ApprovalKind.REBUILD,
                commit=agent.commit,
                main=agent.commit,
                author=AUTHOR_NAME,
                message=repo.commit(agent.commit).message,
                description="Rebuild the deployed commit with this host's nixpkgs "
                "and hive.",
                by=by,
            )
            drv = None if again.rooted is None else again.rooted.new.drv
            if drv == agent.record.system:
                made = await self.pinning.approved(repo, proposed, again)
                return RebuildResult(operation=made.id)
            result = await self.pinning.queue(repo, proposed, again)
            return RebuildResult(operation=None, approval=result.approval)

    async def _deployed_before(
        self, agent: Agent, repo: AppliedRepo, number: int
    ) -> rows.ApprovalRow:
        old = await self.store.read(lambda reader: rows.get(reader, number))
        tags = await asyncio.to_thread(repo.tags)
        tagged = any(t.kind is TagKind.DEPLOYED and t.id == old.id for t in tags)
        if old.agent != agent.name or old.state is not ApprovalState.DEPLOYED:
            raise HiveError(
                ErrorCode.CONFLICT,
                f"Approval {number} was never deployed for {agent.name}. Choose one "
                "that was; `hive approvals` lists them.",
            )
        if not tagged:
            raise HiveError(
                ErrorCode.CONFLICT,
                f"Approval {number} belonged to an earlier agent called {agent.name}, "
                "which was purged.",
            )
        if old.id == agent.approval:
            raise HiveError(
                ErrorCode.CONFLICT,
                f"{agent.name} already runs approval {number}.",
            )
        return old

    async def _again(
        self,
        repo: AppliedRepo,
        commit: str,
        record: PinnedRecord,
        approval: int,
        name: str,
    ) -> Evaluated:
        """Return the pinned result; evaluate again only if its system is gone."""
        self.evaluation.check_limits(record)
        old = await self.store.read(lambda reader: rows.get(reader, approval))
        if self.systems is None:
            return Evaluated(
                manifest=record.manifest, nixos_options=old.nixos_options, rooted=None
            )
        agent = self.registry.find(name)
        deployed = None if agent is None else agent.approval
        rooted = await self.systems.again(approval, deployed)
        if rooted is None:
            return await self.evaluation.evaluate(repo, commit, name)
        return Evaluated(
            manifest=record.manifest, nixos_options=old.nixos_options, rooted=rooted
        )

    def _as_approved(
        self, again: Evaluated, record: PinnedRecord, otherwise: str
    ) -> Evaluated:
        """Return the result with the approved manifest, byte for byte.

        The evaluation may contain options added since, with equivalent defaults.

        Raises:
            HiveError: ``conflict`` with ``otherwise`` if the manifests differ.
        """
        approved = record.manifest
        if canonical(schema.completed(approved)) != canonical(again.manifest):
            self.evaluation.drop(again)
            raise HiveError(ErrorCode.CONFLICT, otherwise)
        return replace(again, manifest=approved)
