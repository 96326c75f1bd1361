"""The operator's decisions: approve exactly what was shown, deny, request changes.

The commit and the manifest hash that the operator saw must still be those of the
pending proposal. The decision and its queued deployment are one transaction, so two
operators who approve at the same time cause one deployment.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from pyglue.api.approvals import (
    ApprovalState,
    ApproveParams,
    DenyParams,
    QuotedComment,
    RequestChangesParams,
    critical,
)
from pyglue.api.event_values import NotificationKind
from pyglue.api.events import ApprovalChanged, Event
from pyglue.api.manager import WithdrawParams
from pyglue.api.operations import Operation
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.repos import AppliedRepo
from pyglue.git.tags import TagKind
from pyglue.host.agents.kept_files import KeptFiles
from pyglue.host.changes import comments
from pyglue.host.changes.pinning import OPERATIONS
from pyglue.host.changes.review import Review
from pyglue.host.core.audit import Audit
from pyglue.host.core.operations import Operations
from pyglue.host.core.registry import Registry
from pyglue.host.messages.notifications import Notifications
from pyglue.names import MANAGER
from pyglue.store import agents, drafts, kept
from pyglue.store import approvals as rows
from pyglue.store import operations as operation_rows
from pyglue.store.approvals import ApprovalRow
from pyglue.store.database import Store, Tx
from pyglue.text.display import listed

_CLOSING: Final = {
    ApprovalState.DENIED: TagKind.DENIED,
    ApprovalState.CHANGES_REQUESTED: TagKind.CHANGES,
    ApprovalState.WITHDRAWN: TagKind.WITHDRAWN,
    ApprovalState.EXPIRED: TagKind.EXPIRED,
}


_UNTAGGED_MAX: Final = 1000
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Approvals:
    """Approves, denies, requests changes, and closes expired proposals."""

    store: Store
    registry: Registry
    notifications: Notifications
    operations: Operations
    kept_files: KeptFiles
    audit: Audit
    config: HiveConfig
    review: Review
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _untagged: deque[tuple[ApprovalRow, ApprovalState, str]] = field(
        default_factory=lambda: deque(maxlen=_UNTAGGED_MAX), init=False
    )

    async def approve(self, params: ApproveParams, by: str) -> Operation:
        """Approve the reviewed version of a proposal and queue its deployment.

        Raises:
            HiveError: ``not_found``; ``stale`` if it is no longer pending, or differs
                from what the operator saw; ``bad_request`` unless exactly its critical
                changes are accepted; ``unavailable`` if it cannot be recorded.
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
            _check_accepted(row, params.accepted)
            kind = OPERATIONS[row.kind]
            operation = operation_rows.insert(
                tx, kind=kind, agent=row.agent, requested_by=by, approval=row.id
            )
            state = ApprovalState.APPROVED
            rows.decide(tx, row.id, state, by=by, operation=operation.id)
            return row, operation

        row, operation = await self.store.write(decide)
        self.operations.enqueue(operation)  # starts at our next await
        self._audited(row, by, "approved")
        return operation

    async def deny(self, params: DenyParams, by: str) -> None:
        """Deny with a reason for the proposer.

        Raises:
            HiveError: ``not_found``, ``stale``.
        """
        await self._close(params.id, ApprovalState.DENIED, by, params.reason)

    async def request_changes(self, params: RequestChangesParams, by: str) -> None:
        """Close a proposal with a general comment and comments on its lines.

        The lines are quoted from git, so that the manager sees the actual text.

        Raises:
            HiveError: ``not_found``, ``stale``; ``bad_request`` without any comment, or
                for a line that does not exist; ``too_large``.
        """
        if not (params.text.strip() or params.comments):
            raise HiveError(
                ErrorCode.BAD_REQUEST,
                "Nothing was requested: write a text, or a comment on a line.",
            )
        row, made = await self.review.quote(params.id, params.comments)
        message = comments.message(row, params.text, made)
        reason = params.text.strip() or comments.counted(made)
        state = ApprovalState.CHANGES_REQUESTED
        await self._close(row.id, state, by, reason, comments=made, message=message)

    async def withdraw(self, params: WithdrawParams, by: str) -> None:
        """Withdraw a proposal on behalf of its proposer.

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
        """Audit a superseded proposal, and inform the manager."""
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
        """Close expired proposals; called at intervals."""
        await self._tag()
        now = time.time()
        for row in await self.store.read(rows.pending):
            if self.review.expires_at(row) < now:
                reason = "Expired without a decision."
                await self._close(row.id, ApprovalState.EXPIRED, "system", reason)

    async def _close(
        self,
        number: int,
        state: ApprovalState,
        by: str,
        reason: str,
        *,
        comments: tuple[QuotedComment, ...] = (),
        message: str | None = None,
    ) -> None:
        """Close a proposal. ``message`` is the message with the reason and comments."""

        def close(tx: Tx) -> tuple[ApprovalRow, bool]:
            row = _pending(tx, number)
            rows.decide(tx, number, state, by=by, reason=reason, comments=comments)
            came_to_be = (agents.find, drafts.get, kept.get)
            return row, not any(find(tx, row.agent) for find in came_to_be)

        row, only_proposed = await self.store.write(close)
        self._audited(row, by, state.value, comments=len(comments))
        self._untagged.append((row, state, message or reason))
        await self._tag()
        ran = await asyncio.to_thread(self.kept_files.has_run, row.agent)
        if only_proposed and not ran:
            await asyncio.to_thread(self.kept_files.forget_proposed, row.agent)
        await self._tell(row, by, state, reason, message)

    async def _tag(self) -> None:
        """Tag closed proposals. A full disk delays tags; the store is up to date."""
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
        self,
        row: ApprovalRow,
        by: str,
        state: ApprovalState,
        reason: str,
        message: str | None = None,
    ) -> None:
        """Inform the manager; send ``message``, if any, whoever the proposer is."""
        is_news = await self.notifications.give(
            NotificationKind.APPROVAL_RESOLVED,
            row.agent,
            f"Approval {row.id} for {row.agent} is {state.value}. Reason: {reason}",
            by=by,
            key=f"approval:{row.id}:{state.value}",
            to_manager=message is None and row.proposed_by == MANAGER and by != MANAGER,
            audit=False,
        )
        if is_news and message is not None:
            await self.notifications.to_manager(row.agent, message)

    def _repo(self, agent: str) -> AppliedRepo:
        return AppliedRepo(self.config.layout.applied(agent))

    def _audited(
        self, row: ApprovalRow, by: str, what: str, *, comments: int = 0
    ) -> None:
        data: dict[str, object] = {"approval": row.id, "commit": row.commit}
        data["manifest"] = row.manifest_sha256
        if comments:
            data["comments"] = comments
        self.audit.record(by, what, row.agent, data)


def _check_accepted(row: ApprovalRow, accepted: Sequence[int]) -> None:
    wanted = critical(row.policy)
    if sorted(accepted) == list(wanted):
        return
    must, did = (
        listed([str(number) for number in some]) if some else "none"
        for some in (wanted, accepted)
    )
    raise HiveError(
        ErrorCode.BAD_REQUEST,
        f"Nothing was approved. The critical changes of approval {row.id}: {must}. You "
        f"accepted: {did}. Review each, and accept exactly these.",
        details={"critical": list(wanted)},
    )


def _pending(tx: Tx, number: int) -> ApprovalRow:
    row = rows.get(tx, number)
    if row.state is not ApprovalState.PENDING:
        who = f" by {row.decided_by}" if row.decided_by else ""
        raise HiveError(
            ErrorCode.STALE,
            f"Approval {row.id} is already {row.state.word}{who}; nothing changed.",
            details={"state": row.state.value},
        )
    return row
