"""Deleting old data according to the configuration's ``retention``.

Housekeeping calls ``prune``. Rows are deleted in small transactions. For proposals that
were never approved, the tags and files are deleted from the applied repository, and the
manifest from the row. The row itself is kept, with the hashes, as the record of the
proposer, the proposal and its outcome.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from pyglue.config import Retention
from pyglue.errors import HiveError
from pyglue.git.history import delete_tag
from pyglue.git.repos import AppliedRepo
from pyglue.host.changes.proposals import Proposals
from pyglue.host.watch.history import History
from pyglue.paths import Layout
from pyglue.store import retention as rows
from pyglue.store.database import Store, Tx

_CHUNK: Final = 100
"""Rows per transaction: a message may have 256 KiB."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """Deletes old data."""

    store: Store
    history: History
    proposals: Proposals
    layout: Layout
    retention: Retention

    async def prune(self) -> None:
        """Delete old data and excess history."""
        await self.history.prune()
        kept_s = self.retention.messages_days * rows.DAY_S
        for table in rows.TABLES:
            step = partial(rows.prune, table=table, kept_s=kept_s, most=_CHUNK)
            await self._repeat(step)
        await self._repeat(partial(rows.prune_build_logs, kept_s=kept_s, most=_CHUNK))
        await self._prune_proposals()

    async def _repeat(self, step: Callable[[Tx], int]) -> None:
        while await self.store.write(step) >= _CHUNK:
            pass

    async def _prune_proposals(self) -> None:
        kept_s = self.retention.proposals_days * rows.DAY_S
        await self._repeat(partial(rows.prune_records, kept_s=kept_s, most=_CHUNK))
        before = time.time() - kept_s
        closed = await self.store.read(
            lambda reader: rows.closed_approvals(reader, before)
        )
        for agent, numbers in closed.items():
            try:
                async with self.proposals.lock(agent):
                    await asyncio.to_thread(self._forget, agent, frozenset(numbers))
            except HiveError as error:
                _log.warning(
                    "could not delete old proposals of %s: %s", agent, error.message
                )

    def _forget(self, agent: str, numbers: frozenset[int]) -> None:
        """Delete the tags of these proposals, and objects that only they reach."""
        repo = AppliedRepo(self.layout.applied(agent))
        if not repo.path.is_dir():
            return
        old = [tag for tag in repo.tags() if tag.id in numbers]
        for tag in old:
            delete_tag(repo, tag.kind, tag.id)
        if old:
            repo.drop_unreachable()
