"""The manager's additional methods: proposals, start, stop.

No decisions are made here: proposals stay pending for the operator, and all other
changes are operations.
"""

from dataclasses import dataclass, field
from functools import partial

from pyglue.api.common import OperationRef
from pyglue.api.manager import (
    AGENT_LOGS,
    LIST_AGENTS,
    REBUILD,
    REQUEST_SPAWN,
    REQUEST_SPAWN_DRAFT,
    RESTART,
    START,
    STOP,
    SUBMIT_BEGIN,
    SUBMIT_CHUNK,
    SUBMIT_COMMIT,
    WITHDRAW,
    AgentParams,
    ProposalResult,
    RebuildResult,
    SpawnParams,
    SubmitBeginParams,
    SubmitBeginResult,
    SubmitChunkParams,
    SubmitCommitParams,
)
from pyglue.api.operations import OperationKind
from pyglue.config import Quotas
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.changes.approvals import Approvals
from pyglue.host.changes.proposals import Proposals
from pyglue.host.changes.redeploy import Redeploy
from pyglue.host.core.operations import Operations, queued
from pyglue.host.core.registry import Registry, with_room
from pyglue.host.life.drafts import Drafts
from pyglue.host.watch.agent_views import AgentViews
from pyglue.host.watch.journal import Journal
from pyglue.jsonrpc import Connection, Handlers
from pyglue.names import MANAGER
from pyglue.store import approvals as approval_rows
from pyglue.store import quotas
from pyglue.store.database import Store, Tx
from pyglue.store.quotas import Quota


@dataclass(frozen=True, kw_only=True)
class ManagerApi:
    """One connection on the manager's socket."""

    connection: Connection
    store: Store
    registry: Registry
    proposals: Proposals
    approvals: Approvals
    operations: Operations
    journal: Journal
    agent_views: AgentViews
    drafts: Drafts
    redeploy: Redeploy
    quotas: Quotas
    _uploads: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self.connection.on_close(self._gone)

    def add_to(self, handlers: Handlers) -> None:
        """Add the manager's handlers."""
        registry, me = self.registry, self.registry.get(MANAGER)
        on, done = handlers.on, handlers.on_done
        on(LIST_AGENTS, self.agent_views.all)
        on(REQUEST_SPAWN, with_room(registry, me, self._spawn))
        on(
            REQUEST_SPAWN_DRAFT,
            with_room(
                registry,
                me,
                lambda it: self.drafts.make(it.name, it.description, MANAGER),
            ),
        )
        on(SUBMIT_BEGIN, with_room(registry, me, self._begin))
        done(SUBMIT_CHUNK, with_room(registry, me, self._chunk))
        on(SUBMIT_COMMIT, with_room(registry, me, self._commit))
        done(WITHDRAW, lambda it: self.approvals.withdraw(it, MANAGER))
        start, stop, restart = (
            partial(self._request, kind)
            for kind in (OperationKind.START, OperationKind.STOP, OperationKind.RESTART)
        )
        on(START, with_room(registry, me, start))
        on(STOP, with_room(registry, me, stop))
        on(RESTART, with_room(registry, me, restart))
        on(REBUILD, with_room(registry, me, self._rebuild))
        on(AGENT_LOGS, self.journal.for_model)

    async def _spawn(self, params: SpawnParams) -> ProposalResult:
        await self._take_proposal(0)
        return await self.proposals.spawn(params.name, params.description, MANAGER)

    async def _begin(self, params: SubmitBeginParams) -> SubmitBeginResult:
        begun = await self.proposals.begin(params)
        self._uploads.add(begun.upload)
        return begun

    def _own(self, upload: str) -> str:
        if upload not in self._uploads:
            raise HiveError(
                ErrorCode.NOT_FOUND,
                "Unknown upload: it expired or never existed. Begin a new one.",
            )
        return upload

    async def _chunk(self, params: SubmitChunkParams) -> None:
        self.proposals.uploads.add(self._own(params.upload), params.data)

    async def _commit(self, params: SubmitCommitParams) -> ProposalResult:
        upload = self._own(params.upload)
        self._uploads.discard(upload)
        try:
            await self._take_proposal(self.proposals.uploads.size(upload))
        except HiveError:
            self.proposals.uploads.drop(upload)
            raise
        result = await self.proposals.submit(upload, MANAGER)
        self.store.post(lambda tx: _count_record(tx, result.approval))
        return result

    async def _take_proposal(self, size: int) -> None:
        """Charge a proposal to the quotas before processing it."""
        most, mib = self.quotas.proposals_per_hour, self.quotas.proposals_mib_per_day

        def take(tx: Tx) -> None:
            quotas.take(tx, MANAGER, Quota.PROPOSALS, 1, most)
            quotas.take(tx, MANAGER, Quota.PROPOSED, size, mib)

        await self.store.write(take)

    async def _take_operation(self) -> None:
        most = self.quotas.operations_per_hour
        await self.store.write(
            lambda tx: quotas.take(tx, MANAGER, Quota.OPERATIONS, 1, most)
        )

    async def _rebuild(self, params: AgentParams) -> RebuildResult:
        name = self._other(params.agent)
        await self._take_operation()
        return await self.redeploy.rebuild(name, MANAGER)

    async def _request(self, kind: OperationKind, params: AgentParams) -> OperationRef:
        name = self._other(params.agent)
        await self._take_operation()
        return await queued(self.operations.request(kind, name, by=MANAGER))

    def _other(self, name: str) -> str:
        agent = self.registry.get(name)
        if agent.name == MANAGER:
            raise HiveError(
                ErrorCode.FORBIDDEN,
                "The manager cannot start, stop or rebuild itself. Ask the operator.",
            )
        return agent.name

    def _gone(self) -> None:
        for upload in self._uploads:
            self.proposals.uploads.drop(upload)


def _count_record(tx: Tx, number: int) -> None:
    """Charge the stored record of a proposal too, once its size is known."""
    record = approval_rows.get(tx, number).record
    quotas.add(tx, MANAGER, Quota.PROPOSED, len(record))
