"""The operator's decisions: approve exactly what was shown, or deny with a reason.

The commit and the manifest hash that the operator saw must be those of the pending
proposal at that moment; deciding and queueing the deploy are one transaction, so two
operators at once make one deploy.
"""

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final

import msgspec

from pyglue import calendar_times, strict_json
from pyglue.api.approvals import (
    ApprovalDetail,
    ApprovalState,
    ApproveParams,
    DenyParams,
    DiffBase,
    DiffSet,
)
from pyglue.api.events import ApprovalChanged, Event
from pyglue.api.manager import WithdrawParams
from pyglue.api.operations import Operation
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.diff import diff
from pyglue.git.repos import AppliedRepo
from pyglue.git.tags import TagKind
from pyglue.host.agents.directories import Directories
from pyglue.host.changes.evaluation import OPERATIONS
from pyglue.host.core.audit import Audit
from pyglue.host.core.operations import Operations
from pyglue.host.core.registry import Registry
from pyglue.host.messages import schedules
from pyglue.host.messages.notifications import NotificationKind, Notifications
from pyglue.host.messages.webhooks import Webhooks
from pyglue.manifest import decode
from pyglue.names import MANAGER
from pyglue.store import agents, drafts, kept, systems
from pyglue.store import approvals as rows
from pyglue.store.approvals import ApprovalRow
from pyglue.store.database import Reader, Store, Tx

_CLOSING: Final = {
    ApprovalState.DENIED: TagKind.DENIED,
    ApprovalState.WITHDRAWN: TagKind.WITHDRAWN,
    ApprovalState.EXPIRED: TagKind.EXPIRED,
}


_UNTAGGED_MAX: Final = 1000
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Bases:
    running: str | None
    approved: str | None
    previous: str | None
    before: ApprovalRow | None


@dataclass(frozen=True, kw_only=True)
class Approvals:
    """Shows, approves, denies and expires."""

    store: Store
    registry: Registry
    notifications: Notifications
    operations: Operations
    directories: Directories
    audit: Audit
    config: HiveConfig
    webhooks: Webhooks | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _untagged: deque[tuple[ApprovalRow, ApprovalState, str]] = field(
        default_factory=lambda: deque(maxlen=_UNTAGGED_MAX), init=False
    )

    async def approve(self, params: ApproveParams, by: str) -> Operation:
        """Approve what was seen and queue its deploy.

        Raises:
            HiveError: ``not_found``; ``stale`` if it is not pending any more, or is
                not what the operator saw; ``unavailable`` if it cannot be recorded.
        """

        self.audit.ready()

        def decide(tx: Tx) -> tuple[ApprovalRow, Operation]:
            row = _pending(tx, params.id)
            if (params.commit, params.manifest) != (row.commit, row.manifest_sha256):
                raise HiveError(
                    ErrorCode.STALE,
                    f"Approval {row.id} is for commit {row.commit} with manifest "
                    f"{row.manifest_sha256}, which is not what you reviewed. Review "
                    "it again.",
                    details={"commit": row.commit, "manifest": row.manifest_sha256},
                )
            kind = OPERATIONS[row.kind]
            operation = self.operations.insert(
                tx, kind, row.agent, by=by, approval=row.id
            )
            state = ApprovalState.APPROVED
            rows.decide(tx, row.id, state, by=by, operation=operation.id)
            return row, operation

        row, operation = await self.store.write(decide)
        self.operations.enqueue(operation)  # begins when we wait next
        self._audited(row, by, "approved")
        return operation

    async def deny(self, params: DenyParams, by: str) -> None:
        """Deny with a reason that the proposer reads.

        Raises:
            HiveError: ``not_found``, ``stale``.
        """
        await self._close(params.id, ApprovalState.DENIED, by, params.reason)

    async def withdraw(self, params: WithdrawParams, by: str) -> None:
        """Take a proposal back, for who proposed it.

        Raises:
            HiveError: ``not_found``, ``forbidden``, ``stale``.
        """
        row = await self.store.read(lambda reader: rows.get(reader, params.id))
        if row.proposed_by != by:
            raise HiveError(
                ErrorCode.FORBIDDEN,
                f"Approval {row.id} was proposed by {row.proposed_by}; only the "
                "proposer can withdraw it. The operator can deny it.",
            )
        reason = params.reason or "Withdrawn by the proposer."
        await self._close(row.id, ApprovalState.WITHDRAWN, by, reason)

    def heard(self, event: Event) -> None:
        """Write down what was superseded: a newer proposal does that by itself."""
        changed = event.read()
        if (
            isinstance(changed, ApprovalChanged)
            and changed.state == ApprovalState.SUPERSEDED
        ):
            number, reason = changed.approval, changed.reason
            data: dict[str, object] = {
                "approval": number,
                "commit": changed.commit,
                "manifest": changed.manifest,
            }
            if reason is not None:
                data["reason"] = reason
                task = asyncio.create_task(self._superseded(number, reason))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            self.audit.record("system", "superseded", event.agent, data)

    async def _superseded(self, number: int, reason: str) -> None:
        row = await self.store.read(lambda reader: rows.get(reader, number))
        await self._tell(row, "system", ApprovalState.SUPERSEDED, reason)

    async def expire(self) -> None:
        """Close expired proposals; called now and then."""
        await self._tag()
        now = time.time()
        for row in await self.store.read(rows.pending):
            if self._expiry(row) < now:
                reason = "Expired without a decision."
                await self._close(row.id, ApprovalState.EXPIRED, "system", reason)

    async def _close(
        self, number: int, state: ApprovalState, by: str, reason: str
    ) -> None:
        def close(tx: Tx) -> tuple[ApprovalRow, bool]:
            row = _pending(tx, number)
            rows.decide(tx, number, state, by=by, reason=reason)
            came_to_be = (agents.find, drafts.get, kept.get)
            return row, not any(find(tx, row.agent) for find in came_to_be)

        row, only_proposed = await self.store.write(close)
        self._audited(row, by, state.value)
        self._untagged.append((row, state, reason))
        await self._tag()
        ran = await asyncio.to_thread(self.directories.has_run, row.agent)
        if only_proposed and not ran:
            await asyncio.to_thread(self.directories.forget_proposed, row.agent)
        await self._tell(row, by, state, reason)

    async def _tag(self) -> None:
        """Tag what was closed; on a full disk that waits: the store has it already."""
        while self._untagged:
            row, state, reason = waiting = self._untagged.popleft()
            repo, kind = self._repo(row.agent), _CLOSING[state]
            try:
                if repo.path.is_dir():
                    await asyncio.to_thread(
                        repo.tag, kind, row.id, row.commit, reason.encode()
                    )
            except HiveError as error:
                _log.warning("could not tag %s/%d: %s", kind.value, row.id, error)
                if error.code not in (ErrorCode.CONFLICT, ErrorCode.NOT_FOUND):
                    self._untagged.appendleft(waiting)
                    return

    async def _tell(
        self, row: ApprovalRow, by: str, state: ApprovalState, reason: str
    ) -> None:
        await self.notifications.give(
            NotificationKind.APPROVAL_RESOLVED,
            row.agent,
            f"Approval {row.id} for {row.agent} is {state.value}. Reason: {reason}",
            by=by,
            key=f"approval:{row.id}:{state.value}",
            mail=row.proposed_by == MANAGER and by != MANAGER,
            audit=False,
        )

    async def detail(self, number: int) -> ApprovalDetail:
        """Return everything the operator reviews.

        Raises:
            HiveError: ``not_found``.
        """
        row, bases = await self.store.read(lambda reader: _with_bases(reader, number))
        bases = await asyncio.to_thread(self._held, row, bases)
        diffs = await asyncio.to_thread(self._diffs, row, bases)
        system = await self.store.read(lambda reader: systems.get(reader, number))
        manifest = decode(row.record).typed
        hooks = self.webhooks
        return ApprovalDetail(
            approval=row.summary(),
            author=row.author,
            message=row.message,
            policy=row.policy,
            diffs=diffs,
            manifest_json=pretty(row.record),
            manifest_before_json=(
                None if bases.before is None else pretty(bases.before.record)
            ),
            system=None if system is None else system.detail(),
            expires_at=(
                self._expiry(row) if row.state is ApprovalState.PENDING else None
            ),
            schedule=schedules.views(
                manifest, calendar_times.zone_of(self.config.time_zone)
            ),
            webhooks=() if hooks is None else await hooks.views(row.agent, manifest),
        )

    def _expiry(self, row: ApprovalRow) -> float:
        return row.created_at + self.config.timeouts.approval_expires_s

    def _held(self, row: ApprovalRow, bases: _Bases) -> _Bases:
        """Leave out what an agent had that was called so before, and was purged."""
        repo = self._repo(row.agent)

        def held(commit: str | None) -> str | None:
            return commit if commit is not None and _holds(repo, commit) else None

        running = held(bases.running)
        return _Bases(
            running=running,
            approved=held(bases.approved),
            previous=held(bases.previous),
            before=None if running is None else bases.before,
        )

    def _diffs(self, row: ApprovalRow, bases: _Bases) -> tuple[DiffSet, ...]:
        repo = self._repo(row.agent)
        if not _holds(repo, row.commit):  # a denied spawn, or it was purged
            return ()
        wanted = (
            (DiffBase.RUNNING, bases.running),
            (DiffBase.APPROVED, bases.approved),
            (DiffBase.PREVIOUS, bases.previous),
        )
        return tuple(
            DiffSet(base=base, commit=old, files=diff(repo, old, row.commit))
            for base, old in wanted
        )

    def _repo(self, agent: str) -> AppliedRepo:
        return AppliedRepo(self.config.layout.applied(agent))

    def _audited(self, row: ApprovalRow, by: str, what: str) -> None:
        data = {"approval": row.id, "commit": row.commit}
        data["manifest"] = row.manifest_sha256
        self.audit.record(by, what, row.agent, data)


def _pending(tx: Tx, number: int) -> ApprovalRow:
    row = rows.get(tx, number)
    if row.state is not ApprovalState.PENDING:
        who = f" by {row.decided_by}" if row.decided_by else ""
        raise HiveError(
            ErrorCode.STALE,
            f"Approval {number} is already {row.state.value}{who}; nothing changed.",
            details={"state": row.state.value},
        )
    return row


def _holds(repo: AppliedRepo, commit: str) -> bool:
    if not repo.path.is_dir():
        return False
    try:
        repo.commit(commit)
    except HiveError:
        return False
    return True


def _with_bases(reader: Reader, number: int) -> tuple[ApprovalRow, _Bases]:
    row = rows.get(reader, number)
    running = rows.last_deployed(reader, row)
    approved = rows.last_approved(reader, row)
    previous = rows.previous(reader, row)
    return row, _Bases(
        running=None if running is None else running.commit,
        approved=None if approved is None else approved.commit,
        previous=None if previous is None else previous.commit,
        before=running,
    )


def pretty(record: bytes) -> str:
    """Return the manifest of a pinned record, indented for people."""
    manifest = strict_json.read(record, dict[str, object])["manifest"]
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2).decode()
