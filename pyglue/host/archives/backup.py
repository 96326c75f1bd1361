"""A consistent archive of the whole hive, made while it runs.

First the store is copied with SQLite's backup API, then the end of the audit log is
recorded; then the files are read. Repositories only gain objects, so everything that
the copied store names exists; refs are written as the copied store knows them, so the
backup contains no unknown proposal. Agents' files are read as they are. A hived started
from the backup finds a hive that was killed at that moment.

Values of secrets are left out: ``secrets/`` is not included, and in agents' files ``*``
replaces values that some agent may see. A backup with secrets contains everything, and
is encrypted by ``age`` before it leaves hived.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, Final

from pyglue.api.approvals import ApprovalState
from pyglue.api.archive import BackupParams
from pyglue.archive import Entry, Hidden, Kind, LeftOut, Writer, walk
from pyglue.errors import ErrorCode, HiveError
from pyglue.files.directory import Folder
from pyglue.git.history import packed_refs
from pyglue.git.repos import AppliedRepo
from pyglue.git.tags import TagKind
from pyglue.host.archives.transfers import Write
from pyglue.host.core.audit import Audit
from pyglue.names import is_name
from pyglue.paths import Layout
from pyglue.process import filtered, find_program
from pyglue.store import snapshot
from pyglue.store.snapshot import Facts

FILE_MAX: Final = 64 * 1024**3
ENTRIES_MAX: Final = 2_000_000
_AGE: Final = ("age", "--encrypt", "--recipient")
_HEAD: Final = "private/audit.head"
_MAKING: Final = (".import-", ".staging-", ".new-")
_PLAIN: Final = frozenset({"", "HEAD", "config", "refs", "refs/heads", "refs/tags"})
_BEGUN: Final = frozenset(
    {
        ApprovalState.APPROVED,
        ApprovalState.BUILDING,
        ApprovalState.DEPLOYED,
        ApprovalState.FAILED,
    }
)
_SAID: Final = {
    TagKind.APPROVED: _BEGUN,
    TagKind.BUILDING: _BEGUN,
    TagKind.DEPLOYED: frozenset({ApprovalState.DEPLOYED}),
    TagKind.FAILED: frozenset({ApprovalState.FAILED}),
    TagKind.DENIED: frozenset({ApprovalState.DENIED}),
    TagKind.CHANGES: frozenset({ApprovalState.CHANGES_REQUESTED}),
    TagKind.WITHDRAWN: frozenset({ApprovalState.WITHDRAWN}),
    TagKind.EXPIRED: frozenset({ApprovalState.EXPIRED}),
}
"""States of an approval in which a tag exists; a proposal's exists in all."""


@dataclass(frozen=True, kw_only=True)
class Backups:
    """Writes the hive."""

    audit: Audit
    layout: Layout
    hidden: Callable[[], Awaitable[Hidden]]
    """Returns the values that agents may see, and the replacement of each."""

    async def hive(self, params: BackupParams, by: str) -> tuple[Write, Path]:
        """Copy the store; return the function that writes the backup, and the copy.

        Writing removes the directory; if nothing is written, the caller removes it.

        Raises:
            HiveError: ``unavailable`` if the disk is full; ``missing_program`` if it
                cannot be encrypted.
        """
        recipient = params.recipient
        if recipient is not None:
            _need_age()
        hidden = None if recipient is not None else await self.hidden()
        tmp = Path(tempfile.mkdtemp(prefix="backup-", dir=self.layout.quarantine))
        copy = tmp / "hive.db"
        try:
            facts = await asyncio.to_thread(snapshot.take, self.layout.database, copy)
            self.audit.record(by, "backup", None, {"secrets": recipient is not None})
            # No line can come between these two: only this thread writes the log.
            size = self.audit.path.stat().st_size
            head = self.audit.head_path.read_bytes()
        except BaseException:
            shutil.rmtree(tmp)
            raise

        def write(stream: BinaryIO) -> list[str]:
            try:
                if recipient is None:
                    return self._write(stream, copy, facts, size, head, hidden)
                with filtered((*_AGE, recipient), stream) as encrypted:
                    return self._write(encrypted, copy, facts, size, head, None)
            finally:
                shutil.rmtree(tmp, ignore_errors=True)

        return write, tmp

    def _write(
        self,
        stream: IO[bytes],
        copy: Path,
        facts: Facts,
        size: int,
        head: bytes,
        hidden: Hidden | None,
    ) -> list[str]:
        """Write everything; ``hidden`` None: with the values of secrets."""
        layout = self.layout
        # No agent has more than the disk; copies that share blocks may seem to.
        used = shutil.disk_usage(layout.state).used
        writer = Writer(
            stream,
            Kind.HIVE,
            file_max=FILE_MAX,
            entries_max=ENTRIES_MAX,
            total_max=used,
            hidden=hidden or {},
        )
        writer.add_file("hive.db", copy)
        writer.add_file("audit.jsonl", layout.audit_log, size=size)
        self._tree(writer, "private")
        writer.add_bytes(_HEAD, head)
        for repository in sorted(layout.applied_root.glob("*.git")):
            if is_name(repository.name.removesuffix(".git")):
                self._repository(writer, repository, facts)
        self._tree(writer, "agents")
        if hidden is None and layout.secrets.is_dir():
            self._tree(writer, layout.secrets.name)
        names = sorted(facts.mains)
        writer.finish({"agents": names, "state_dir": str(layout.state)})
        return writer.left_out

    def _tree(self, writer: Writer, name: str) -> None:
        for found in self._found(name):
            if isinstance(found, LeftOut):
                writer.leave_out(found.name, found.why)
            else:
                writer.add_entry(found)

    def _found(self, name: str) -> Iterator[Entry | LeftOut]:
        """Return the names in a directory, without those still being created."""
        state = self.layout.state
        with Folder.at(state, state / name) as top:
            for found in walk(top, name, links=True):
                making = any(
                    part.startswith(_MAKING) for part in found.name.split("/")[1:3]
                )
                if not making and found.name != _HEAD:
                    yield found

    def _repository(self, writer: Writer, path: Path, facts: Facts) -> None:
        """Write a repository with its refs as the copied store knows them."""
        name = path.name.removesuffix(".git")
        prefix = f"applied/{path.name}"
        repo = AppliedRepo(path)
        try:
            main = facts.mains.get(name) or repo.main()
            refs = packed_refs(repo, main, _Wanted(name, facts))
        except (HiveError, OSError) as error:  # purged meanwhile, or damaged
            writer.leave_out(prefix, f"it could not be read: {error}")
            return
        with Folder.at(self.layout.state, path) as top:
            for found in walk(top, prefix, links=False):
                below = found.name.removeprefix(prefix).lstrip("/")
                if isinstance(found, LeftOut):
                    writer.leave_out(found.name, found.why)
                elif below in _PLAIN or _is_object(below):
                    writer.add_entry(found)
        writer.add_bytes(f"{prefix}/packed-refs", refs, mode=0o644)


def _need_age() -> None:
    try:
        find_program(_AGE[0])
    except HiveError as error:
        raise HiveError(
            ErrorCode.MISSING_PROGRAM,
            "A backup with secrets must be encrypted, and the program age is not "
            "installed. Install it (Debian: apt install age), or leave secrets out.",
        ) from error


class _Wanted:
    """Decides whether the copied store knows a tag."""

    def __init__(self, name: str, facts: Facts) -> None:
        self._name = name
        self._facts = facts

    def __call__(self, kind: TagKind, number: int) -> bool:
        agent, state = self._facts.approvals.get(number, ("", None))
        if agent != self._name or state is None:
            return False
        return kind is TagKind.PROPOSAL or state in _SAID[kind]


def _is_object(below: str) -> bool:
    parts = below.split("/")
    return parts[0] == "objects" and not parts[-1].startswith("tmp_")
