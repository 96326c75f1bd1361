"""The manager's proposals: charged to its quotas; each upload is one connection's."""

from dataclasses import dataclass, field

from pyglue.api.manager import (
    ProposalResult,
    SpawnParams,
    SubmitBeginParams,
    SubmitBeginResult,
    SubmitChunkParams,
    SubmitCommitParams,
)
from pyglue.config import Quotas
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.changes.proposals import Proposals
from pyglue.jsonrpc import Connection
from pyglue.names import MANAGER
from pyglue.store import approvals as approval_rows
from pyglue.store import quotas
from pyglue.store.database import Store, Tx
from pyglue.store.quotas import Quota


@dataclass(frozen=True, kw_only=True)
class Submissions:
    """Passes the manager's commits and spawns to ``proposals``."""

    store: Store
    proposals: Proposals
    quotas: Quotas
    _uploads: dict[str, Connection] = field(default_factory=dict, init=False)
    """The connection of each open upload; no other connection may use it."""

    async def spawn(self, params: SpawnParams) -> ProposalResult:
        """Propose a new agent made from the template.

        Raises:
            HiveError: ``rate_limited``; as ``Proposals.spawn``.
        """
        await self._charge(0)
        return await self.proposals.spawn(params.name, params.description, MANAGER)

    async def begin(
        self, params: SubmitBeginParams, connection: Connection
    ) -> SubmitBeginResult:
        """Open an upload for ``connection``, which ends with it.

        Raises:
            HiveError: as ``Proposals.begin``.
        """
        begun = await self.proposals.begin(params)
        self._uploads[begun.upload] = connection
        return begun

    async def chunk(self, params: SubmitChunkParams, connection: Connection) -> None:
        """Add bytes to an upload.

        Raises:
            HiveError: ``not_found``, ``too_large``.
        """
        self._check(params.upload, connection)
        self.proposals.uploads.add(params.upload, params.data)

    async def commit(
        self, params: SubmitCommitParams, connection: Connection
    ) -> ProposalResult:
        """Propose an uploaded commit.

        Raises:
            HiveError: ``not_found``, ``rate_limited``; as ``Proposals.submit``.
        """
        upload, uploads = params.upload, self.proposals.uploads
        self._check(upload, connection)
        del self._uploads[upload]
        try:
            await self._charge(uploads.size(upload))
        except HiveError:
            uploads.drop(upload)
            raise
        result = await self.proposals.submit(upload, MANAGER)
        self.store.post(lambda tx: _count_record(tx, result.approval))
        return result

    def drop_of(self, connection: Connection) -> None:
        """Drop the uploads of a connection that has closed."""
        for upload in [u for u, owner in self._uploads.items() if owner is connection]:
            del self._uploads[upload]
            self.proposals.uploads.drop(upload)

    def _check(self, upload: str, connection: Connection) -> None:
        if self._uploads.get(upload) is not connection:
            raise HiveError(
                ErrorCode.NOT_FOUND,
                "Unknown upload: it expired or never existed. Begin a new one.",
            )

    async def _charge(self, size: int) -> None:
        """Charge a proposal to the quotas before processing it."""
        most, mib = self.quotas.proposals_per_hour, self.quotas.proposals_mib_per_day

        def take(tx: Tx) -> None:
            quotas.take(tx, MANAGER, Quota.PROPOSALS, 1, most)
            quotas.take(tx, MANAGER, Quota.PROPOSED, size, mib)

        await self.store.write(take)


def _count_record(tx: Tx, number: int) -> None:
    """Charge the stored record of a proposal too, once its size is known."""
    record = approval_rows.get(tx, number).record
    quotas.add(tx, MANAGER, Quota.PROPOSED, len(record))
