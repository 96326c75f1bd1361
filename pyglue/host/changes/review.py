"""Shows a proposal for review, with its differences, pinned by its commit.

``Approvals`` uses it to quote the lines that comments are about.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from pyglue import strict_json
from pyglue.api.approvals import (
    ApprovalDetail,
    ApprovalKind,
    ApprovalState,
    ChangesRequested,
    ContextParams,
    ContextResult,
    DiffBase,
    DiffSet,
    LineComment,
    QuotedComment,
)
from pyglue.api.diff import DiffLine
from pyglue.clock import calendar_times
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.context import context
from pyglue.git.diff import diff
from pyglue.git.repos import AppliedRepo
from pyglue.host.changes import comments
from pyglue.host.core.secret_uses import SecretUses
from pyglue.host.messages import schedules
from pyglue.host.messages.webhooks import Webhooks
from pyglue.manifest.record import decode
from pyglue.store import approvals as rows
from pyglue.store import earlier_approvals, systems
from pyglue.store.approvals import ApprovalRow
from pyglue.store.database import Reader, Store


@dataclass(frozen=True, kw_only=True)
class _Bases:
    running: str | None
    approved: str | None
    previous: str | None
    before: ApprovalRow | None
    asked: ApprovalRow | None

    def of(self, base: DiffBase | None, proposed: str) -> str | None:
        """Return the commit that a comment is about."""
        match base:
            case None:
                return proposed
            case DiffBase.RUNNING:
                return self.running
            case DiffBase.APPROVED:
                return self.approved
            case DiffBase.PREVIOUS:
                return self.previous


@dataclass(frozen=True, kw_only=True)
class Review:
    """Shows proposals."""

    store: Store
    config: HiveConfig
    webhooks: Webhooks
    secret_uses: SecretUses

    async def detail(self, number: int) -> ApprovalDetail:
        """Return everything the operator reviews.

        Raises:
            HiveError: ``not_found``.
        """
        row, bases = await self._row(number)
        diffs = await asyncio.to_thread(self._diffs, row, bases)
        asked = await asyncio.to_thread(self._asked, row, bases.asked)
        system = await self.store.read(lambda reader: systems.get(reader, number))
        manifest = decode(row.record).typed
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
                self.expires_at(row) if row.state is ApprovalState.PENDING else None
            ),
            schedule=schedules.views(
                manifest, calendar_times.zone_of(self.config.time_zone)
            ),
            webhooks=await self.webhooks.views(row.agent, manifest),
            secrets=await self.secret_uses.views(manifest),
            comments=row.comments,
            asked=asked,
        )

    async def quote(
        self, number: int, made: Sequence[LineComment]
    ) -> tuple[ApprovalRow, tuple[QuotedComment, ...]]:
        """Return a proposal, and the comments with the lines that they are about.

        Raises:
            HiveError: ``not_found``; ``bad_request`` for a line that does not exist.
        """
        row, bases = await self._row(number)
        repo = self._repo(row.agent)

        def quoted() -> tuple[QuotedComment, ...]:
            return tuple(
                comments.quote(repo, bases.of(one.base, row.commit), one)
                for one in made
            )

        return row, await asyncio.to_thread(quoted)

    async def context(self, params: ContextParams) -> ContextResult:
        """Return unchanged lines around the changes that the operator reviews.

        Raises:
            HiveError: ``not_found`` for a file that is not changed, or is not kept;
                ``bad_request`` for lines that are changed or not there.
        """
        row, bases = await self._row(params.id)
        repo, lines = self._repo(row.agent), range(params.first, params.last + 1)
        old = bases.of(params.base, row.commit)

        def read() -> tuple[DiffLine, ...]:
            if not holds(repo, row.commit):
                raise HiveError(
                    ErrorCode.NOT_FOUND,
                    f"The files of approval {row.id} are no longer kept.",
                )
            return context(repo, old, row.commit, params.file, lines)

        return ContextResult(lines=await asyncio.to_thread(read))

    async def _row(self, number: int) -> tuple[ApprovalRow, _Bases]:
        row, bases = await self.store.read(lambda reader: _with_bases(reader, number))
        return row, await asyncio.to_thread(self._held, row, bases)

    def _asked(
        self, row: ApprovalRow, asked: ApprovalRow | None
    ) -> ChangesRequested | None:
        if asked is None:
            return None
        repo = self._repo(row.agent)
        there = row.commit if holds(repo, row.commit) else None
        return ChangesRequested(
            approval=asked.id,
            text=asked.reason or "",
            comments=comments.find(repo, there, asked.comments),
        )

    def expires_at(self, row: ApprovalRow) -> float:
        """Return when a pending proposal expires, in seconds since 1970."""
        return row.created_at + self.config.timeouts.approval_expires_s

    def _held(self, row: ApprovalRow, bases: _Bases) -> _Bases:
        """Leave out versions of a purged agent that had the same name."""
        repo = self._repo(row.agent)

        def held(commit: str | None) -> str | None:
            return commit if commit is not None and holds(repo, commit) else None

        running, asked = held(bases.running), bases.asked
        # The repository of an agent that never ran is removed with its proposal.
        is_of_it = asked and (asked.kind is ApprovalKind.SPAWN or held(asked.commit))
        return _Bases(
            running=running,
            approved=held(bases.approved),
            previous=held(bases.previous),
            before=None if running is None else bases.before,
            asked=asked if is_of_it else None,
        )

    def _diffs(self, row: ApprovalRow, bases: _Bases) -> tuple[DiffSet, ...]:
        repo = self._repo(row.agent)
        if not holds(repo, row.commit):  # a denied spawn, or a purged agent
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


def holds(repo: AppliedRepo, commit: str) -> bool:
    """Return whether a repository exists and contains a commit."""
    if not repo.path.is_dir():
        return False
    try:
        repo.commit(commit)
    except HiveError:
        return False
    return True


def _with_bases(reader: Reader, number: int) -> tuple[ApprovalRow, _Bases]:
    row = rows.get(reader, number)
    # Nothing ran before a new agent, even if a purged one had the same name.
    is_new = row.kind is ApprovalKind.SPAWN
    running = None if is_new else earlier_approvals.last_deployed(reader, row)
    approved = earlier_approvals.last_approved(reader, row)
    previous = earlier_approvals.previous(reader, row)
    return row, _Bases(
        running=None if running is None else running.commit,
        approved=None if approved is None else approved.commit,
        previous=None if previous is None else previous.commit,
        before=running,
        asked=_asked_before(reader, row),
    )


def _asked_before(reader: Reader, row: ApprovalRow) -> ApprovalRow | None:
    judged = earlier_approvals.last_judged(reader, row)
    if judged is None or judged.state is not ApprovalState.CHANGES_REQUESTED:
        return None
    return judged


def pretty(record: bytes) -> str:
    """Return the manifest of a pinned record as indented JSON."""
    manifest = strict_json.read(record, dict[str, object])["manifest"]
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2).decode()
