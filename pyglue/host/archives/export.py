"""An agent as an archive: history, state, session, and its record.

The manager's repository is not included: it may contain anything, and a new one is
created from the history. The agent's files are read as they are, without following
links, while the agent may continue to write; ``*`` replaces values of secrets that
agents may see.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from pyglue import names
from pyglue.api.archive import ExportParams
from pyglue.archive import Hidden, Kind, Writer
from pyglue.errors import ErrorCode, HiveError
from pyglue.files.nofollow import opened
from pyglue.git.history import pack_history
from pyglue.git.repos import AppliedRepo
from pyglue.host.archives.transfers import Write
from pyglue.host.core.audit import Audit
from pyglue.manifest.record import decode
from pyglue.paths import Layout
from pyglue.store import agents, kept
from pyglue.store.database import Reader, Store

FILE_MAX: Final = 1024**3
ENTRIES_MAX: Final = 200_000
TOTAL_MAX: Final = 16 * 1024**3
"""Maximum size of an agent's archive, unpacked, in bytes; an import accepts no more."""
PACK: Final = "main.pack"
RECORD: Final = "record.json"


@dataclass(frozen=True, kw_only=True)
class Exports:
    """Writes an agent."""

    store: Store
    audit: Audit
    layout: Layout
    hidden: Callable[[], Awaitable[Hidden]]
    """Returns the values that agents may see, and the replacement of each."""

    async def agent(self, params: ExportParams, by: str) -> Write:
        """Return the function that writes an agent, or the kept state of one.

        Raises:
            HiveError: ``not_found``; ``conflict`` if it was never deployed.
        """
        name = names.check(params.agent)
        record = await self.store.read(lambda reader: _record(reader, name))
        repo = AppliedRepo(self.layout.applied(name))
        main = await asyncio.to_thread(repo.main) if repo.path.is_dir() else None
        if main is None:
            raise HiveError(
                ErrorCode.CONFLICT,
                f"{name} was never deployed, so there is no history to export.",
            )
        self.audit.record(by, "exported", name, {"commit": main})

        hidden = await self.hidden()

        def write(stream: BinaryIO) -> list[str]:
            return self._write(
                stream, name, main, record, repo, hidden, session=params.session
            )

        return write

    def _write(
        self,
        stream: BinaryIO,
        name: str,
        main: str,
        record: bytes | None,
        repo: AppliedRepo,
        hidden: Hidden,
        *,
        session: bool,
    ) -> list[str]:
        layout = self.layout
        writer = Writer(
            stream,
            Kind.AGENT,
            file_max=FILE_MAX,
            entries_max=ENTRIES_MAX,
            total_max=TOTAL_MAX,
            hidden=hidden,
        )
        tmp = Path(tempfile.mkdtemp(prefix="export-", dir=layout.quarantine))
        try:
            writer.add_file(PACK, pack_history(repo, main, tmp))
        finally:
            shutil.rmtree(tmp)
        about = {"name": name, "main": main, "description": "", "manifest": None}
        if record is not None:
            pinned = decode(record)
            writer.add_bytes(RECORD, record)
            about["manifest"] = pinned.sha256
            about["description"] = pinned.typed.description
        with opened(layout.state, layout.agent_state(name)) as top:
            if top is not None:
                writer.add_tree("state", top, links=False)
        if session:
            with opened(layout.state, layout.session(name)) as top:
                if top is not None:
                    writer.add_tree("session", top, links=False)
        writer.finish(about)
        return writer.left_out


def _record(reader: Reader, name: str) -> bytes | None:
    row = agents.find(reader, name) or kept.get(reader, name)
    if row is None:
        raise HiveError(
            ErrorCode.NOT_FOUND,
            f"There is no agent {name!r}, and no kept state of one. See: hive agents, "
            "hive kept.",
        )
    return row.record
