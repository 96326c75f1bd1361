"""The kept state of destroyed agents, with sizes, for the operator.

Sizes are the disk usage of the readable files. They are measured for each request,
since the manager may still write in ``config`` and ``state``.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from pyglue.api.common import NoParams
from pyglue.api.lifecycle import KeptPart, KeptResult, KeptView
from pyglue.files import nofollow
from pyglue.host.agents.kept_files import KeptDirectory, KeptFiles
from pyglue.host.changes.review import pretty
from pyglue.manifest.record import decode
from pyglue.store import approvals, inboxes, kept
from pyglue.store.database import Reader, Store
from pyglue.store.kept import Kept as KeptRow

_WORDS: Final = {
    KeptDirectory.CONFIG: "repository of proposals",
    KeptDirectory.STATE: "state",
    KeptDirectory.PRIVATE: "session, port and the hive's own notes",
    KeptDirectory.APPLIED: "repository of approved commits",
    KeptDirectory.LOGS: "logs",
}


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Lists kept state."""

    store: Store
    kept_files: KeptFiles

    async def all(self, _params: NoParams) -> KeptResult:
        """Return all kept state, with sizes in bytes."""

        def read(
            reader: Reader,
        ) -> tuple[tuple[KeptRow, ...], dict[str, int], dict[str, int]]:
            pending = {row.agent: row.id for row in approvals.pending(reader)}
            return kept.all_kept(reader), pending, inboxes.waiting_counts(reader)

        found, pending, messages = await self.store.read(read)
        views = []
        for row in found:
            parts = await asyncio.to_thread(self._measure, row.name)
            manifest = None if row.record is None else decode(row.record)
            views.append(
                KeptView(
                    name=row.name,
                    destroyed_at=row.destroyed_at,
                    by=row.by,
                    description=row.description,
                    commit=row.commit,
                    approval=row.approval,
                    manifest_sha256=None if manifest is None else manifest.sha256,
                    manifest_json=None if row.record is None else pretty(row.record),
                    pending_approval=pending.get(row.name),
                    messages=messages.get(row.name, 0),
                    bytes=sum(part.bytes for part in parts),
                    parts=parts,
                )
            )
        return KeptResult(kept=tuple(views))

    def _measure(self, name: str) -> tuple[KeptPart, ...]:
        state = self.kept_files.layout.state
        return tuple(
            KeptPart(
                what=_WORDS[directory],
                path=str(place),
                bytes=nofollow.size(state, place),
            )
            for directory in KeptDirectory
            for place in self.kept_files.places(name, directory)
            if nofollow.exists(state, place)
        )
