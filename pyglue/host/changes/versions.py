"""Two versions of an agent side by side: their permissions, files and manifests.

A version is an approval's pinned record, deployed or not. Nothing is evaluated: the
records are compared as pinned.
"""

import asyncio
from dataclasses import dataclass

from pyglue.api.approvals import CompareParams, Comparison
from pyglue.api.diff import FileDiff
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.diff import diff, diff_text
from pyglue.git.repos import AppliedRepo
from pyglue.host.agents.container_limits import defaults_of
from pyglue.host.changes.review import holds, pretty
from pyglue.host.policy import diff as policy
from pyglue.manifest.record import decode
from pyglue.store import approvals as rows
from pyglue.store.approvals import ApprovalRow
from pyglue.store.database import Store


@dataclass(frozen=True, kw_only=True)
class Versions:
    """Compares versions. ``limits_hold``: memory and CPU limits are enforced here."""

    store: Store
    config: HiveConfig
    limits_hold: bool = True

    async def compare(self, params: CompareParams) -> Comparison:
        """Return the differences between two versions of an agent.

        Raises:
            HiveError: ``not_found`` for an approval of another agent, or one whose
                files are gone.
        """
        old = await self._row(params.agent, params.old)
        new = await self._row(params.agent, params.new)
        files, manifest = await asyncio.to_thread(self._texts, old, new)
        return Comparison(
            old=old.summary(),
            new=new.summary(),
            policy=policy.diff_policy(
                decode(old.record).manifest,
                decode(new.record).manifest,
                old.nixos_options,
                new.nixos_options,
                resolve=self.config.catalogue.resolve,
                defaults=defaults_of(self.config),
                limits_hold=self.limits_hold,
            ),
            files=files,
            manifest=manifest,
        )

    async def _row(self, agent: str, number: int) -> ApprovalRow:
        row = await self.store.read(lambda reader: rows.get(reader, number))
        if row.agent != agent:
            raise HiveError(
                ErrorCode.NOT_FOUND, f"Approval {number} does not belong to {agent}."
            )
        return row

    def _texts(
        self, old: ApprovalRow, new: ApprovalRow
    ) -> tuple[tuple[FileDiff, ...], FileDiff]:
        repo = AppliedRepo(self.config.layout.applied(old.agent))
        for row in (old, new):
            if not holds(repo, row.commit):
                raise HiveError(
                    ErrorCode.NOT_FOUND,
                    f"The files of approval {row.id} are no longer kept.",
                )
        manifest = diff_text("manifest.json", pretty(old.record), pretty(new.record))
        return diff(repo, old.commit, new.commit), manifest
