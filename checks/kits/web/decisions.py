"""The decisions of the fake hived: approvals, operations, and new agents."""

import time
from typing import Any

import msgspec

from checks.kits.web import data as data
from pyglue.api import manager as manager_api
from pyglue.api import operator as api
from pyglue.api.approvals import (
    ApprovalDetail,
    ApprovalKind,
    ApprovalParams,
    ApprovalsParams,
    ApprovalsResult,
    ApprovalState,
    ApproveParams,
    CompareParams,
    Comparison,
    ContextParams,
    ContextResult,
    DenyParams,
    QuotedComment,
    RequestChangesParams,
    critical,
)
from pyglue.api.common import (
    Done,
    NoParams,
    OperationRef,
)
from pyglue.api.diff import DiffLine, LineKind
from pyglue.api.lifecycle import RollbackParams
from pyglue.api.operations import (
    Operation,
    OperationKind,
    OperationParams,
    OperationsResult,
    OperationState,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.diff import diff_text


class Decisions:
    """Canned approvals, decided as hived does: neither stale nor twice."""

    def reset(self) -> None:
        """Forget what tests did."""
        self.unchanged = "line {}"
        self.approvals = {
            7: data.detail(data.summary(7)),
            6: data.detail(
                data.summary(
                    6,
                    state=ApprovalState.DEPLOYED,
                    decided_at=data.NOW - 4000,
                    decided_by="session 1a2b3c4d",
                    widens=(),
                    operation=11,
                )
            ),
            5: data.detail(
                data.summary(
                    5,
                    agent="bob",
                    kind=ApprovalKind.SPAWN,
                    state=ApprovalState.DENIED,
                    decided_at=data.NOW - 9000,
                    decided_by="session 1a2b3c4d",
                    reason="Not without a limit on its cost.",
                )
            ),
        }
        self.operations: dict[int, Operation] = {
            11: self._operation(11, OperationState.DONE, 6)
        }

    def set_approval(self, number: int, **fields: Any) -> None:
        """Change an approval's row."""
        old = self.approvals[number]
        row = msgspec.structs.replace(old.approval, **fields)
        self.approvals[number] = msgspec.structs.replace(old, approval=row)

    def answers(self) -> dict[Any, Any]:
        """Return what answers each method."""
        return {
            api.APPROVALS: self._approvals,
            api.APPROVAL: self._approval,
            api.COMPARE: self._compare,
            api.CONTEXT: self._context,
            api.ROLLBACK: self._rollback,
            api.APPROVE: self._approve,
            api.DENY: self._deny,
            api.REQUEST_CHANGES: self._request_changes,
            api.RETRY: self._retry,
            api.OPERATION: self._one_operation,
            api.OPERATIONS: self._operations,
            api.SPAWN: self._spawn,
            api.RESTORE: self._spawned,
        }

    async def _approvals(self, params: ApprovalsParams) -> ApprovalsResult:
        rows = [
            one.approval
            for one in self.approvals.values()
            if params.state in (None, one.approval.state)
            and params.agent in (None, one.approval.agent)
            and (params.before is None or one.approval.id < params.before)
        ]
        return ApprovalsResult(approvals=tuple(rows[: params.limit]))

    async def _approval(self, params: ApprovalParams) -> ApprovalDetail:
        found = self.approvals.get(params.id)
        if found is None:
            raise HiveError(ErrorCode.NOT_FOUND, f"There is no approval {params.id}.")
        return found

    async def _context(self, params: ContextParams) -> ContextResult:
        """Return lines that read as ``unchanged`` with their number, none refused."""
        found = await self._approval(ApprovalParams(id=params.id))
        diff = next(one for one in found.diffs if one.base is params.base)
        file = next(one for one in diff.files if one.path == params.file)
        above = [one for one in file.hunks if one.new_start < params.first]
        shift = sum(one.old_lines - one.new_lines for one in above)
        return ContextResult(
            lines=tuple(
                DiffLine(
                    kind=LineKind.CONTEXT,
                    text=self.unchanged.replace("{}", str(number)),
                    old_no=number + shift,
                    new_no=number,
                )
                for number in range(params.first, params.last + 1)
            )
        )

    async def _compare(self, params: CompareParams) -> Comparison:
        old = await self._approval(ApprovalParams(id=params.old))
        new = await self._approval(ApprovalParams(id=params.new))
        return Comparison(
            old=old.approval,
            new=new.approval,
            policy=new.policy,
            files=new.diffs[0].files,
            manifest=diff_text("manifest.json", "{\n  a\n}\n", "{\n  b\n}\n"),
        )

    async def _approve(self, params: ApproveParams) -> OperationRef:
        row = (await self._pending(params.id)).approval
        if (params.commit, params.manifest) != (row.commit, row.manifest_sha256):
            raise HiveError(
                ErrorCode.STALE,
                "What you saw is not what is proposed now. Read it again.",
            )
        wanted = critical((await self._pending(params.id)).policy)
        if sorted(params.accepted) != list(wanted):
            raise HiveError(ErrorCode.BAD_REQUEST, "Nothing was approved.")
        self.operations[12] = self._operation(12, OperationState.RUNNING, row.id)
        self.set_approval(
            row.id,
            state=ApprovalState.BUILDING,
            decided_at=time.time(),
            decided_by="session 1a2b3c4d",
            operation=12,
        )
        return OperationRef(operation=12)

    async def _retry(self, params: ApprovalParams) -> OperationRef:
        row = (await self._approval(params)).approval
        if row.state is not ApprovalState.FAILED:
            raise HiveError(ErrorCode.CONFLICT, f"Approval {row.id} is {row.state}.")
        self.operations[14] = self._operation(14, OperationState.RUNNING, row.id)
        again = data.summary(9, agent=row.agent, state=ApprovalState.BUILDING)
        self.approvals = {9: data.detail(again), **self.approvals}
        return OperationRef(operation=14)

    async def _rollback(self, params: RollbackParams) -> OperationRef:
        self.operations[15] = self._operation(
            15, OperationState.RUNNING, params.approval
        )
        return OperationRef(operation=15)

    async def _deny(self, params: DenyParams) -> Done:
        await self._pending(params.id)
        self.set_approval(
            params.id,
            state=ApprovalState.DENIED,
            decided_at=time.time(),
            decided_by="session 1a2b3c4d",
            reason=params.reason,
        )
        return Done()

    async def _request_changes(self, params: RequestChangesParams) -> Done:
        found = await self._pending(params.id)
        comments = tuple(
            QuotedComment(
                file=one.file,
                line=one.line,
                to=one.to or one.line,
                base=one.base,
                text=one.text,
                quoted=("a line",),
            )
            for one in params.comments
        )
        commented = msgspec.structs.replace(found, comments=comments)
        self.approvals[params.id] = commented
        self.set_approval(
            params.id,
            state=ApprovalState.CHANGES_REQUESTED,
            decided_at=time.time(),
            decided_by="session 1a2b3c4d",
            reason=params.text or f"{len(comments)} comments.",
        )
        return Done()

    async def _pending(self, number: int) -> ApprovalDetail:
        found = await self._approval(ApprovalParams(id=number))
        if found.approval.state is not ApprovalState.PENDING:
            raise HiveError(
                ErrorCode.CONFLICT,
                f"Approval {number} is {found.approval.state.value} already.",
            )
        return found

    def _operation(
        self, number: int, state: OperationState, approval: int
    ) -> Operation:
        running = state is OperationState.RUNNING
        return Operation(
            id=number,
            kind=OperationKind.DEPLOY,
            agent="alice",
            state=state,
            step="apply" if running else "done",
            approval=approval,
            error=None,
            requested_by="session 1a2b3c4d",
            created_at=data.NOW - 3,
            finished_at=None if running else data.NOW - 1,
        )

    async def _one_operation(self, params: OperationParams) -> Operation:
        return self.operations[params.id]

    async def _operations(self, _params: NoParams) -> OperationsResult:
        return OperationsResult(operations=tuple(self.operations.values()))

    async def _spawn(
        self, params: manager_api.SpawnParams
    ) -> manager_api.ProposalResult:
        return self._proposed(params.name)

    async def _spawned(
        self, params: manager_api.AgentParams
    ) -> manager_api.ProposalResult:
        return self._proposed(params.agent)

    def _proposed(self, agent: str) -> manager_api.ProposalResult:
        row = data.summary(
            8,
            agent=agent,
            kind=ApprovalKind.SPAWN,
            proposed_by="operator",
            widens=(),
        )
        detail = msgspec.structs.replace(data.detail(row), policy=())
        self.approvals = {8: detail, **self.approvals}
        return manager_api.ProposalResult(
            approval=8,
            commit=row.commit,
            manifest_sha256=row.manifest_sha256,
            widens=(),
        )
