"""Deploying an approved commit, or reverting to the previous one.

Spawn, deploy, restore, rollback and rebuild share these steps: a new agent first gets
its row and directories; a draft and a destroyed agent keep theirs. Every step is
idempotent. The build comes first and does not affect the running agent. ``main`` moves
only after the harness, inside the built system, has said hello with the new manifest
hash. Any failure leads through ``revert`` (the previous record runs again) to ``fail``
(tag, status, notification).
"""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import ClassVar, Final

from pyglue.api.approvals import ApprovalKind, ApprovalState
from pyglue.api.common import PROBLEM_MAX
from pyglue.api.event_values import NotificationKind
from pyglue.api.operations import Operation
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.agents.directories import Directories
from pyglue.host.agents.lifecycle import Lifecycle
from pyglue.host.backends.base import Backend
from pyglue.host.changes.build_log import BuildLog
from pyglue.host.changes.systems import Systems
from pyglue.host.changes.tags import DeployTags
from pyglue.host.core.agent import Agent, spec_of
from pyglue.host.core.audit import Audit
from pyglue.host.core.registry import Registry
from pyglue.host.core.transitions import Transitions
from pyglue.host.core.turns import end_turn
from pyglue.host.messages.notifications import Notifications
from pyglue.manifest.record import PinnedRecord
from pyglue.names import MANAGER
from pyglue.store import agents as agent_rows
from pyglue.store import approvals as rows
from pyglue.store import drafts, kept
from pyglue.store.agents import AgentRow
from pyglue.store.approvals import ApprovalRow
from pyglue.store.database import Reader, Store, Tx

_log = logging.getLogger(__name__)
_REASON_MAX: Final = 2 * PROBLEM_MAX  # with the words around a quoted problem
_NOTIFICATIONS: Final = {
    ApprovalKind.SPAWN: NotificationKind.SPAWNED,
    ApprovalKind.CHANGE: NotificationKind.APPROVAL_RESOLVED,
    ApprovalKind.RESTORE: NotificationKind.SPAWNED,
    ApprovalKind.ROLLBACK: NotificationKind.ROLLED_BACK,
    ApprovalKind.REBUILD: NotificationKind.REBUILT,
}
_MORE: Final = {
    ApprovalKind.SPAWN: " {name} is a new agent.",
    ApprovalKind.RESTORE: " {name} is restored with its kept state.",
    ApprovalKind.ROLLBACK: " This was a rollback: main is a new commit made by the "
    "host. Fetch main from /applied/{name}.git, and base your next commit on it.",
    ApprovalKind.REBUILD: " It was rebuilt from the deployed commit.",
}


@dataclass(kw_only=True)
class Deploy:
    """The handler of every operation that an approval queues."""

    steps: ClassVar[tuple[str, ...]] = (
        "tag",
        "build",
        "prepare",
        "drain",
        "apply",
        "finish",
        "revert",
        "fail",
    )

    store: Store
    registry: Registry
    transitions: Transitions
    notifications: Notifications
    lifecycle: Lifecycle
    directories: Directories
    audit: Audit
    config: HiveConfig
    backend: Backend
    systems: Systems | None = None
    _tags: DeployTags = field(init=False)

    def __post_init__(self) -> None:
        self._tags = DeployTags(layout=self.config.layout)

    async def run(self, operation: Operation, step: str) -> str | None:
        """Do one step; see the module's docstring."""
        number = operation.approval or 0
        approval = await self.store.read(lambda reader: rows.get(reader, number))
        match step:
            case "tag":
                await self.store.read(lambda reader: self._check(reader, approval))
                await asyncio.to_thread(self._tags.begin, approval)
                await self._progress(approval, ApprovalState.BUILDING)
                return "build"
            case "build":
                await self._build(approval)
                return "prepare"
            case "prepare":
                row = await self.store.write(lambda tx: self._create(tx, approval))
                self.registry.take(row)
                await asyncio.to_thread(self.directories.make, approval.agent)
                return "drain"
            case "drain":
                await self._drain(self.registry.get(approval.agent))
                return "apply"
            case "apply":
                agent = self.registry.get(approval.agent)
                await self.lifecycle.restart(agent, self._tags.record(approval))
                return "finish"
            case "finish":
                await self._finish(approval)
                return None
            case "revert":
                await self._revert(approval)
                return "fail"
            case "fail":
                await self._fail(approval, operation.error or "The deployment failed.")
                return None
        raise HiveError(ErrorCode.INTERNAL, f"Unknown step {step}.")

    def recover(self, step: str) -> str | None:
        """Return the step that repairs a failure of ``step``."""
        match step:
            case "tag" | "build" | "prepare":
                return "fail"
            case "drain" | "apply" | "finish":
                return "revert"
            case "revert":
                return "fail"
        return None

    # --- steps ----------------------------------------------------------------------

    def _check(self, reader: Reader, approval: ApprovalRow) -> None:
        """Refuse a deployment whose agent, draft or kept state has been removed.

        Raises:
            HiveError: ``not_found``, ``conflict``.
        """
        name = approval.agent
        if agent_rows.find(reader, name) is not None:
            return  # also when a crash came after ``prepare``
        match approval.kind:
            case ApprovalKind.SPAWN:
                gone = approval.main is not None and drafts.get(reader, name) is None
                if gone or kept.get(reader, name) is not None:
                    raise HiveError(
                        ErrorCode.CONFLICT,
                        f"{name} was discarded or destroyed after the approval.",
                    )
            case ApprovalKind.RESTORE:
                kept.require(reader, name)
            case _:
                self.registry.get(name)

    def _create(self, tx: Tx, approval: ApprovalRow) -> AgentRow:
        """Turn a draft or kept state into an agent, in one transaction."""
        name = approval.agent
        role = self.registry.role(name)
        kept.bring_back(tx, name, role.value)
        drafts.remove(tx, name)
        agent_rows.create(tx, name, role)
        row = agent_rows.find(tx, name)
        if row is None:
            raise HiveError(ErrorCode.INTERNAL, f"Storing {name} failed.")
        return row

    async def _finish(self, approval: ApprovalRow) -> None:
        await asyncio.to_thread(self._tags.end, approval)
        agent = self.registry.get(approval.agent)
        record = self._tags.record(approval)

        def also(tx: Tx) -> None:
            rows.progress(tx, approval.id, ApprovalState.DEPLOYED)
            if approval.commit != approval.main:
                why = f"Approval {approval.id} moved main; rebase on it, and resubmit."
                rows.supersede_all(tx, approval.agent, why)

        await self.transitions.deployed(
            agent,
            record,
            approval=approval.id,
            commit=approval.commit,
            wanted=agent.wanted or approval.kind is ApprovalKind.RESTORE,
            also=also,
        )
        if not agent.wanted:  # stopped by hand: it stays stopped
            await self.lifecycle.stop(agent)
        await self._show(approval, record)
        self._audited(approval, "deployed")
        await self._tell(
            approval,
            _NOTIFICATIONS[approval.kind],
            ApprovalState.DEPLOYED,
            f"Approval {approval.id} for {approval.agent} is deployed: commit "
            f"{approval.commit} runs with manifest {approval.manifest_sha256}."
            + _MORE.get(approval.kind, "").format(name=approval.agent),
        )

    async def _show(self, approval: ApprovalRow, record: PinnedRecord) -> None:
        """Add it to the hive's flake; nothing depends on that, so errors are logged."""
        if self.systems is None:
            return
        repo = self._tags.repo(approval)
        try:
            await asyncio.to_thread(
                self.systems.show, repo, approval.agent, record, approval.commit
            )
        except OSError as error:
            _log.warning(
                "could not add %s to the hive's flake: %s", approval.agent, error
            )

    async def _build(self, approval: ApprovalRow) -> None:
        """Build the approved system; without NixOS there is nothing to build."""
        if self.systems is None:
            return
        # A new agent is not in the registry before ``prepare``.
        agent = self.registry.find(approval.agent)
        before = None if agent is None else agent.approval
        log = BuildLog(store=self.store, approval=approval.id, agent=approval.agent)
        try:
            toplevel = await self.backend.build(
                spec_of(approval.agent, self._tags.record(approval)), log.add
            )
        finally:
            await log.close()
        if toplevel is not None:
            await self.systems.compare_built(approval.id, toplevel, before)

    async def _drain(self, agent: Agent) -> None:
        await end_turn(
            self.transitions,
            agent,
            within=self.config.timeouts.drain_s,
            reason="A new manifest is about to be deployed.",
        )

    async def _revert(self, approval: ApprovalRow) -> None:
        agent = self.registry.get(approval.agent)
        if agent.record is not None and agent.wanted:
            await self.lifecycle.restart(agent, agent.record)
        else:
            await self.lifecycle.stop(agent)

    async def _fail(self, approval: ApprovalRow, reason: str) -> None:
        reason = reason[:_REASON_MAX]
        await asyncio.to_thread(self._tags.failed, approval, reason)
        await self._progress(approval, ApprovalState.FAILED, reason)
        agent = self.registry.find(approval.agent)
        if agent is not None:
            # An agent that runs again has no problem; the approval keeps the reason.
            well = agent.wanted and agent.harness is not None
            await self.transitions.problem_noted(agent, None if well else reason)
        self._audited(approval, "failed")
        await self._tell(
            approval,
            NotificationKind.APPROVAL_RESOLVED,
            ApprovalState.FAILED,
            f"Approval {approval.id} for {approval.agent} failed and was rolled back "
            f"completely. Reason: {reason}",
            reason,
        )

    async def _progress(
        self, approval: ApprovalRow, state: ApprovalState, reason: str | None = None
    ) -> None:
        await self.store.write(
            lambda tx: rows.progress(tx, approval.id, state, reason=reason)
        )

    def _audited(self, approval: ApprovalRow, what: str) -> None:
        data = {"approval": approval.id, "commit": approval.commit}
        data["manifest"] = approval.manifest_sha256
        self.audit.record("system", what, approval.agent, data)

    async def _tell(
        self,
        approval: ApprovalRow,
        kind: NotificationKind,
        state: ApprovalState,
        text: str,
        reason: str | None = None,
    ) -> None:
        data = {"approval": approval.id, "state": state.value, "reason": reason}
        await self.notifications.give(
            kind,
            approval.agent,
            text,
            key=f"approval:{approval.id}:{state.value}",
            data=data,
            to_manager=approval.proposed_by == MANAGER or approval.agent != MANAGER,
            audit=False,
        )
