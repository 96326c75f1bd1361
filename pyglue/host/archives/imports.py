"""Importing an agent from an archive, which may contain anything.

It is unpacked by strict rules of our own into directories beside those of agents, and
its history must pass the checks of a proposal; if hived crashes before that, the next
start removes the leftovers. From then on it is an operation (``importing``). Until the
operator approves, nothing of the agent runs; its files are only evaluated, as a
proposal.
"""

import asyncio
import io
import shutil
import tempfile
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from pyglue import names
from pyglue.api.archive import ImportParams, ImportResult
from pyglue.api.operations import Operation, OperationKind
from pyglue.archive import Index, Kind, Limits, Places, unpack
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.files import nofollow
from pyglue.files.directory import Folder
from pyglue.git.history import HISTORY_LIMITS
from pyglue.git.quarantine import import_pack
from pyglue.git.repos import AppliedRepo
from pyglue.git.spare import SpareChild
from pyglue.host.agents.directories import Directories
from pyglue.host.agents.kept_files import KeptDirectory, KeptFiles
from pyglue.host.archives.export import ENTRIES_MAX, FILE_MAX, PACK, RECORD, TOTAL_MAX
from pyglue.host.archives.transfers import RESERVE, Transfers
from pyglue.host.changes.proposals import Proposals
from pyglue.host.core.name_conflicts import check_free
from pyglue.host.core.operations import Operations
from pyglue.host.core.registry import Registry
from pyglue.manifest.record import MAX_BYTES
from pyglue.store import operations as operation_rows
from pyglue.store.database import Reader, Store, Tx

_MIB: Final = 1024 * 1024
_LIMITS: Final = Limits(
    entries=ENTRIES_MAX,
    file_bytes=FILE_MAX,
    total_bytes=TOTAL_MAX,
    index_bytes=64 * _MIB,
    reserve_bytes=RESERVE,
)
_PREFIX: Final = ".import-"
DIRECTORIES: Final = (KeptDirectory.CONFIG, KeptDirectory.STATE, KeptDirectory.PRIVATE)
"""A name is free only if none of these directories contains files."""


@dataclass(frozen=True)
class Staged:
    """Directories that are being filled, each next to its destination."""

    agents: Path
    private: Path
    applied: Path

    @property
    def all(self) -> tuple[Path, ...]:
        return self.agents, self.private, self.applied


@dataclass(frozen=True, kw_only=True)
class Imports:
    """Unpacks, checks, and queues."""

    store: Store
    registry: Registry
    operations: Operations
    proposals: Proposals
    directories: Directories
    kept_files: KeptFiles
    config: HiveConfig

    async def load(self) -> None:
        """Remove leftovers of imports that never became an operation; at start only."""

        def keys(reader: Reader) -> set[str]:
            return {
                str(operation_rows.arguments(reader, one.id).get("key", ""))
                for one in operation_rows.unfinished(reader)
                if one.kind is OperationKind.IMPORT
            }

        wanted = await self.store.read(keys)
        await asyncio.to_thread(self._sweep, wanted)

    def _sweep(self, wanted: set[str]) -> None:
        for parent in {directory.parent for directory in self.staged("x").all}:
            for name in nofollow.names(self.config.layout.state, parent):
                key = name.removeprefix(_PREFIX)
                if key != name and key not in wanted:
                    self.kept_files.remove_tree(parent / name)

    async def take(
        self, params: ImportParams, transfers: Transfers, by: str
    ) -> ImportResult:
        """Check an uploaded archive, and queue the import of its agent.

        Raises:
            HiveError: ``name_taken``; for an invalid archive or history.
        """
        key = uuid.uuid4().hex
        staged = self.staged(key)
        archive = transfers.taken(params.transfer)
        queued = False
        try:
            index, name, commit = await self._unpacked(archive, staged, params.name)
            operation = await self._queue(name, commit, key, by)
            queued = True
        finally:
            transfers.drop(params.transfer)
            if not queued:
                for directory in staged.all:
                    await asyncio.to_thread(self.kept_files.remove_tree, directory)
        self.operations.requested(operation)
        return ImportResult(agent=name, operation=operation.id, left_out=index.left_out)

    async def _unpacked(
        self, archive: Path, staged: Staged, wanted: str | None
    ) -> tuple[Index, str, str]:
        """Unpack in a thread; return only when the thread has stopped writing."""
        stop = threading.Event()
        unpacking = asyncio.ensure_future(
            asyncio.to_thread(self._unpack, archive, staged, wanted, stop)
        )
        try:
            return await asyncio.shield(unpacking)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait([unpacking])
            unpacking.exception()  # cancelled by us: its error is irrelevant
            raise

    async def _queue(self, name: str, commit: str, key: str, by: str) -> Operation:
        def insert(tx: Tx) -> Operation:
            check_free(tx, name)
            return operation_rows.insert(
                tx,
                kind=OperationKind.IMPORT,
                agent=name,
                requested_by=by,
                arguments={"key": key, "commit": commit},
            )

        async with self.proposals.lock(name):
            await self.store.read(lambda reader: check_free(reader, name))
            await asyncio.to_thread(self._check_directories, name)
            return await self.store.write(insert)

    def _check_directories(self, name: str) -> None:
        """Refuse a free name if files of an earlier agent exist."""
        state = self.config.layout.state
        for directory in DIRECTORIES:
            for place in self.kept_files.places(name, directory):
                left = nofollow.exists(state, place) and (
                    directory is not KeptDirectory.PRIVATE
                    or set(nofollow.names(state, place)) - {"port"}
                )
                if left:
                    raise HiveError(
                        ErrorCode.NAME_TAKEN,
                        f"Files of an earlier agent {name!r} still exist ({place}). "
                        "Run hive doctor --repair, or import under another name with "
                        "--as.",
                    )
        if self.kept_files.has_run(name):
            raise HiveError(
                ErrorCode.NAME_TAKEN,
                f"The repository of an earlier agent {name!r} still exists. Run hive "
                "doctor --repair, which keeps it, or import under another name with "
                "--as.",
            )
        self.kept_files.forget_proposed(name)  # of a proposal that was never approved

    # --- checking; all of it blocks ---------------------------------------------------

    def staged(self, key: str) -> Staged:
        """Return the directories of an import."""
        layout = self.config.layout
        return Staged(
            layout.agents / f"{_PREFIX}{key}",
            layout.state / "private" / f"{_PREFIX}{key}",
            layout.applied_root / f"{_PREFIX}{key}",
        )

    def _unpack(
        self,
        archive: Path,
        staged: Staged,
        wanted: str | None,
        stop: threading.Event,
    ) -> tuple[Index, str, str]:
        for directory in staged.all:
            self.directories.stage(directory)
        state, session = staged.agents / "state", staged.private / "session"
        self.directories.own(state, 0o750)
        self.directories.own(session, 0o700)
        work = Path(
            tempfile.mkdtemp(prefix="import-", dir=self.config.layout.quarantine)
        )
        try:
            top = self.config.layout.state
            with (
                Folder.at(top, state) as into_state,
                Folder.at(top, session) as into_session,
                archive.open("rb") as file,
                _Stoppable(file, stop) as stream,
            ):
                places = Places(
                    trees={"state": into_state, "session": into_session},
                    files={PACK: work / PACK, RECORD: work / RECORD},
                    owner=self.directories.owner(),
                )
                index = unpack(stream, Kind.AGENT, places, _LIMITS)
            name = wanted or index.about.get("name")
            if not isinstance(name, str):
                raise _refused("its index has no agent")
            names.check_new(name)
            return index, name, self._history(index, work, staged)
        finally:
            shutil.rmtree(work)

    def _history(self, index: Index, work: Path, staged: Staged) -> str:
        """Check the history like a proposal; return its main commit."""
        pack, record = work / PACK, work / RECORD
        if not pack.exists():
            raise _refused(f"{PACK} is missing")
        if record.exists() and record.stat().st_size > MAX_BYTES:
            raise _refused(f"{RECORD} is too large")
        commit = index.about.get("main")
        if not isinstance(commit, str):
            raise _refused("its index has no commit")
        repo = AppliedRepo.create(staged.applied / "repo")
        checked = import_pack(
            pack,
            commit,
            repo,
            workdir=self.config.layout.quarantine,
            limits=HISTORY_LIMITS,
            spare=SpareChild(
                self.proposals.fence,
                workdir=self.config.layout.quarantine,
                shown=staged.applied,
            ),
        )
        repo.advance_main(checked.sha, None)
        return checked.sha


class _Stoppable(io.BufferedIOBase):
    """A file whose reading can be stopped."""

    def __init__(self, file: BinaryIO, stop: threading.Event) -> None:
        self._file = file
        self._stop = stop

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        if self._stop.is_set():
            raise HiveError(ErrorCode.CANCELLED, "The import was cancelled.")
        return self._file.read(-1 if size is None else size)


def _refused(why: str) -> HiveError:
    return HiveError(
        ErrorCode.BAD_REQUEST,
        f"Invalid archive: {why}. Nothing was changed.",
    )
