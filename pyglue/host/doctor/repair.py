"""Finding and repairing inconsistencies: ``hive doctor --repair``.

The search changes nothing. The repair searches again, under each agent's lock, and
repairs what that search finds; names with a running operation are skipped. Every repair
is audited.
"""

import logging
from dataclasses import dataclass

from pyglue.api.archive import RepairResult
from pyglue.api.doctor import Check, CheckState
from pyglue.errors import HiveError
from pyglue.host.changes.proposals import Proposals
from pyglue.host.core.audit import Audit
from pyglue.host.doctor.finding import Finding
from pyglue.host.doctor.repair_directories import DirectoryRepair
from pyglue.host.doctor.repair_repos import RepoRepair
from pyglue.host.doctor.repair_rows import RowRepair
from pyglue.store import agreement
from pyglue.store.agreement import Snapshot
from pyglue.store.database import Store

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Repair:
    """Finds and repairs inconsistencies."""

    store: Store
    proposals: Proposals
    repos: RepoRepair
    directories: DirectoryRepair
    audit: Audit
    rows: RowRepair

    async def checks(self) -> list[Check]:
        """Return the inconsistencies, with the repairs that ``repair`` would make."""
        snapshot = await self._snapshot()
        found = await self.directories.look(snapshot) + await self.rows.look()
        for name in _names(snapshot):
            if await self.repos.look(name, snapshot):
                found += await self._look_again(name)
        for name in [one.agent for one in found if one.keeps and one.agent]:
            found += await self.repos.look(name, snapshot.keeping(name))
        return [
            Check(
                name="consistency" if one.agent is None else f"agent {one.agent}",
                state=CheckState.PROBLEM,
                message=one.says,
                repair=one.would,
            )
            for one in found
        ]

    async def _look_again(self, name: str) -> list[Finding]:
        """Examine an agent again while its lock excludes proposals in progress."""
        async with self.proposals.lock(name):
            snapshot = await self._snapshot()
            return (
                [] if name in snapshot.busy else await self.repos.look(name, snapshot)
            )

    async def repair(self, by: str) -> RepairResult:
        """Repair what can be repaired; return the repairs and the failures."""
        done: list[str] = []
        failed: list[str] = []
        for one in await self.rows.look():
            await self._repair(one, by, done, failed)
        # Repairs that queue an operation come last: they block others of the agent.
        for queues in (False, True):
            await self._repair_directories(by, done, failed, queues=queues)
            await self._repair_repositories(by, done, failed, queues=queues)
        return RepairResult(done=tuple(done), failed=tuple(failed))

    async def _repair_directories(
        self, by: str, done: list[str], failed: list[str], *, queues: bool
    ) -> None:
        for one in await self.directories.look(await self._snapshot()):
            if one.queues is not queues:
                continue
            if one.agent is None:
                await self._repair(one, by, done, failed)
                continue
            async with self.proposals.lock(one.agent):
                for still in await self._still(one, one.agent):
                    await self._repair(still, by, done, failed)

    async def _repair_repositories(
        self, by: str, done: list[str], failed: list[str], *, queues: bool
    ) -> None:
        for name in _names(await self._snapshot()):
            async with self.proposals.lock(name):
                snapshot = await self._snapshot()
                if name in snapshot.busy:
                    continue
                for one in await self.repos.look(name, snapshot):
                    if one.queues is queues:
                        await self._repair(one, by, done, failed)

    async def _still(self, found: Finding, name: str) -> list[Finding]:
        """Check a finding again: the files may belong to an agent by now."""
        snapshot = await self._snapshot()
        if name in snapshot.busy:
            return []
        return [
            one
            for one in await self.directories.look(snapshot)
            if (one.agent, one.says) == (name, found.says)
        ]

    async def _repair(
        self, one: Finding, by: str, done: list[str], failed: list[str]
    ) -> None:
        if one.repair is None or one.would is None:
            failed.append(one.says)
            return
        try:
            await one.repair()
        except Exception as error:
            why = error.message if isinstance(error, HiveError) else str(error)
            _log.warning("could not %s: %s", one.would, why, exc_info=error)
            failed.append(f"{one.says} Could not {one.would}: {why}")
            return
        self.audit.record(
            by, "repaired", one.agent, {"found": one.says, "did": one.would}
        )
        done.append(f"{one.says} Done: {one.would}.")

    async def _snapshot(self) -> Snapshot:
        return await self.store.read(agreement.read)


def _names(snapshot: Snapshot) -> tuple[str, ...]:
    names = {*snapshot.agents, *snapshot.kept, *snapshot.drafts} - snapshot.busy
    return tuple(sorted(names))
