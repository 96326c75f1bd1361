"""From a manager's commit to a rendered approval.

The pack comes over the socket in chunks; it is checked in quarantine, the tree is
evaluated once in the restricted evaluator, validated against the trusted options and
the operator's limits, pinned, tagged, compared, and only then queued. Any refusal
goes back to the proposer and leaves nothing behind; the operator sees only what is
whole. Where agents are NixOS systems, the system is evaluated too, and compared with
what is deployed. Nothing is built or fetched here.
"""

import asyncio
import shutil
import tempfile
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from pyglue import manifest_schema, names
from pyglue.api.manager import PACK_LIMIT, ProposalResult, SubmitBeginResult
from pyglue.api.operator import ApprovalKind, Effect
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.export import export_tree
from pyglue.git.quarantine import CheckedCommit, import_pack
from pyglue.git.repos import AppliedRepo
from pyglue.git.spare import SpareChild
from pyglue.git.tags import TagKind
from pyglue.host import policy
from pyglue.host.audit import Audit
from pyglue.host.registry import Registry
from pyglue.host.rooms import Rooms
from pyglue.host.systems import Held, Systems
from pyglue.manifest import PinnedRecord
from pyglue.names import MANAGER
from pyglue.nix import Evaluator
from pyglue.store import approvals as rows
from pyglue.store.approvals import NewApproval
from pyglue.store.database import Store, Tx

_UPLOADS_MAX: Final = 4
_AUTHOR: Final = "hyperhive"


@dataclass
class _Upload:
    agent: str
    commit: str
    description: str
    file: BinaryIO
    path: Path
    size: int = 0


@dataclass(frozen=True)
class Proposed:
    """What is being proposed, once its commit is in the applied repository."""

    agent: str
    kind: ApprovalKind
    commit: str
    main: str | None
    author: str
    message: str
    description: str
    by: str


@dataclass(frozen=True)
class _Evaluated:
    """What a commit says: ``held`` is its system, None where agents have none."""

    manifest: Mapping[str, Any]
    nixos_options: tuple[str, ...]
    held: Held | None


class Proposals:
    """Takes packs and template spawns, and renders approvals."""

    def __init__(
        self,
        *,
        store: Store,
        registry: Registry,
        evaluator: Evaluator,
        rooms: Rooms,
        audit: Audit,
        config: HiveConfig,
        templates: Path,
        systems: Systems | None = None,
    ) -> None:
        self._store = store
        self._registry = registry
        self._evaluator = evaluator
        self._rooms = rooms
        self._audit = audit
        self._config = config
        self._layout = config.layout
        self._templates = templates
        self._systems = systems
        self._uploads: dict[str, _Upload] = {}
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._room = asyncio.Semaphore(2)
        self._spare = SpareChild()

    async def close(self) -> None:
        """End the checking child that waits for the next commit."""
        await asyncio.to_thread(self._spare.close)

    def _prepare_check(self) -> None:
        """Let a checking child start while something else is waited for."""
        asyncio.get_running_loop().run_in_executor(None, self._spare.prepare)

    # --- packs ----------------------------------------------------------------------

    def begin(self, agent: str, commit: str, description: str) -> SubmitBeginResult:
        """Open an upload for a commit of ``agent``'s repository.

        Raises:
            HiveError: ``not_found``, ``invalid_name``, ``too_many``.
        """
        known = self._registry.get(names.check(agent))
        main = AppliedRepo(self._layout.applied(known.name)).main()
        if len(self._uploads) >= _UPLOADS_MAX:
            raise HiveError(
                ErrorCode.TOO_MANY, f"{_UPLOADS_MAX} uploads are open; finish one."
            )
        descriptor, name = tempfile.mkstemp(
            prefix="upload-", suffix=".pack", dir=self._layout.quarantine
        )
        file = open(descriptor, "wb")  # noqa: SIM115, PTH123 - closed with the upload
        self._prepare_check()
        upload = uuid.uuid4().hex
        self._uploads[upload] = _Upload(agent, commit, description, file, Path(name))
        return SubmitBeginResult(upload=upload, main=main)

    def chunk(self, upload: str, data: bytes) -> None:
        """Add bytes to an upload; too many end it.

        Raises:
            HiveError: ``not_found``, ``too_large``.
        """
        open_upload = self._upload(upload)
        open_upload.size += len(data)
        if open_upload.size > PACK_LIMIT:
            self.drop(upload)
            raise HiveError(
                ErrorCode.TOO_LARGE,
                f"The commit's new objects take more than {PACK_LIMIT} bytes. An "
                "agent's repository holds configuration: keep large files elsewhere.",
            )
        open_upload.file.write(data)

    def drop(self, upload: str) -> None:
        """Forget an upload; one that is gone is no error."""
        gone = self._uploads.pop(upload, None)
        if gone is not None:
            gone.file.close()
            gone.path.unlink(missing_ok=True)

    def _upload(self, upload: str) -> _Upload:
        found = self._uploads.get(upload)
        if found is None:
            raise HiveError(
                ErrorCode.NOT_FOUND, "There is no such upload; begin a new one."
            )
        return found

    async def submit(self, upload: str, by: str) -> ProposalResult:
        """Check and render what was uploaded.

        Raises:
            HiveError: whatever is wrong with the commit, its manifest or its limits.
        """
        found = self._upload(upload)
        found.file.flush()
        try:
            async with self._locks[found.agent]:
                repo = AppliedRepo(self._layout.applied(found.agent))
                checked: CheckedCommit = await asyncio.to_thread(
                    import_pack,
                    found.path,
                    found.commit,
                    repo,
                    workdir=self._layout.quarantine,
                    spare=self._spare,
                )
                proposed = Proposed(
                    agent=found.agent,
                    kind=ApprovalKind.CHANGE,
                    commit=checked.sha,
                    main=checked.parent_main,
                    author=f"{checked.author.name} <{checked.author.email}>",
                    message=checked.message,
                    description=found.description,
                    by=by,
                )
                return await self._render(repo, proposed)
        finally:
            self.drop(upload)
            self._prepare_check()

    # --- spawns ---------------------------------------------------------------------

    async def spawn(self, name: str, description: str, by: str) -> ProposalResult:
        """Propose a new agent made from the template.

        Raises:
            HiveError: ``invalid_name``, ``name_reserved``, ``name_taken``.
        """
        names.check_new(name)
        files = await asyncio.to_thread(_read_template, self._templates / "template")
        return await self._seed(
            name, files, f"Start {name} from template", description, by
        )

    async def declare(
        self, name: str, files: Mapping[str, bytes], description: str, by: str
    ) -> ProposalResult:
        """Propose an agent that the configuration names, with these files.

        Raises:
            HiveError: ``invalid_name``, ``name_taken``, what is wrong with the files.
        """
        if name != names.MANAGER:
            names.check_new(name)
        return await self._seed(
            name, files, f"Start {name} as declared", description, by
        )

    async def redeclare(
        self, name: str, files: Mapping[str, bytes], description: str, by: str
    ) -> ProposalResult | None:
        """Propose that an agent has just these files; None if main has them.

        Raises:
            HiveError: whatever is wrong with the files, the manifest or its limits.
        """
        async with self._locks[name]:
            repo = AppliedRepo(self._layout.applied(name))
            main = await asyncio.to_thread(repo.main)
            message = f"Take over the declared files of {name}"
            commit = await asyncio.to_thread(repo.commit_files, files, message=message)
            if commit is None:
                return None
            proposed = Proposed(
                agent=name,
                kind=ApprovalKind.CHANGE,
                commit=commit,
                main=main,
                author=_AUTHOR,
                message=message,
                description=description,
                by=by,
            )
            return await self._render(repo, proposed)

    async def _seed(
        self,
        name: str,
        files: Mapping[str, bytes],
        message: str,
        description: str,
        by: str,
    ) -> ProposalResult:
        async with self._locks[name]:
            known = self._registry.find(name)
            if known is not None and known.record is not None:
                raise HiveError(
                    ErrorCode.NAME_TAKEN, f"There is an agent {name!r} already."
                )
            if await self._store.read(lambda reader: rows.pending(reader, name)):
                raise HiveError(
                    ErrorCode.NAME_TAKEN, f"{name!r} waits for an approval already."
                )
            return await self._first(name, files, message, description, by)

    async def _first(
        self,
        name: str,
        files: Mapping[str, bytes],
        message: str,
        description: str,
        by: str,
    ) -> ProposalResult:
        if self._registry.find(name) is None:  # else its first deploy failed
            await asyncio.to_thread(self._rooms.forget_proposed, name)
        await asyncio.to_thread(self._rooms.settle_port, name)
        repo = await asyncio.to_thread(AppliedRepo.create, self._layout.applied(name))
        commit = await asyncio.to_thread(repo.seed_main, files, message=message)
        proposed = Proposed(
            agent=name,
            kind=ApprovalKind.SPAWN,
            commit=commit,
            main=None,
            author=_AUTHOR,
            message=message,
            description=description,
            by=by,
        )
        return await self._render(repo, proposed)

    # --- rendering ------------------------------------------------------------------

    async def _render(self, repo: AppliedRepo, proposed: Proposed) -> ProposalResult:
        found = await self._evaluate(repo, proposed)
        try:
            return await self._queued(repo, proposed, found)
        except BaseException:
            if self._systems is not None and found.held is not None:
                self._systems.drop(found.held)
            raise

    async def _queued(
        self, repo: AppliedRepo, proposed: Proposed, found: _Evaluated
    ) -> ProposalResult:
        held = found.held
        record = PinnedRecord(found.manifest, None if held is None else held.new.drv)
        encoded = record.encode()
        before, nixos_before = await self._before(proposed.agent)
        changes = policy.diff_policy(
            before,
            found.manifest,
            nixos_before,
            found.nixos_options,
            system_changed=None if held is None else held.changed,
        )
        number = await self._store.write(rows.reserve_id)
        await asyncio.to_thread(
            repo.tag, TagKind.PROPOSAL, number, proposed.commit, encoded
        )
        new = NewApproval(
            agent=proposed.agent,
            kind=proposed.kind,
            commit=proposed.commit,
            main=proposed.main,
            record=encoded,
            manifest_sha256=record.sha256,
            nixos_options=found.nixos_options,
            policy=changes,
            description=proposed.description,
            proposed_by=proposed.by,
            author=proposed.author,
            message=proposed.message,
        )
        if self._systems is not None and held is not None:
            self._systems.assign(held, number)
        await self._store.write(lambda tx: self._queue(tx, repo, number, new, held))
        data = {"approval": number, "commit": new.commit}
        data["manifest"] = new.manifest_sha256
        self._audit.record(proposed.by, "proposed", proposed.agent, data)
        return ProposalResult(
            approval=number,
            commit=proposed.commit,
            manifest_sha256=record.sha256,
            widens=tuple(
                change.sentence for change in changes if change.effect is Effect.WIDENS
            ),
        )

    def _queue(
        self,
        tx: Tx,
        repo: AppliedRepo,
        number: int,
        new: NewApproval,
        held: Held | None,
    ) -> None:
        main = repo.main()
        if new.kind is ApprovalKind.CHANGE and main != new.main:
            raise HiveError(
                ErrorCode.NOT_BASED_ON_MAIN,
                f"main moved to {main} meanwhile. Rebase your commit on it and submit "
                "again.",
                details={"main": main},
            )
        rows.insert(tx, number, new)
        if held is not None:
            Systems.insert(tx, number, held)

    async def _evaluate(self, repo: AppliedRepo, proposed: Proposed) -> _Evaluated:
        async with self._room, self._exported(repo, proposed.commit) as directory:
            found = await self._evaluator.evaluate(directory)
            manifest = manifest_schema.validate(found.manifest)
            typed = PinnedRecord(manifest, None).typed
            policy.check_operator_limits(typed, self._config.limits)
            held = await self._system(directory, manifest, proposed.agent)
        return _Evaluated(manifest, found.nixos_options, held)

    async def _system(
        self, directory: Path, manifest: Mapping[str, Any], name: str
    ) -> Held | None:
        if self._systems is None:
            return None
        agent = self._registry.find(name)
        return await self._systems.evaluate(
            directory,
            manifest,
            name=name,
            manager=name == MANAGER,
            deployed=None if agent is None else agent.approval,
        )

    @asynccontextmanager
    async def _exported(self, repo: AppliedRepo, commit: str) -> AsyncIterator[Path]:
        room = Path(tempfile.mkdtemp(prefix="tree-", dir=self._layout.quarantine))
        try:
            await asyncio.to_thread(export_tree, repo, commit, room)
            yield room
        finally:
            await asyncio.to_thread(shutil.rmtree, room)

    async def _before(
        self, name: str
    ) -> tuple[Mapping[str, Any] | None, tuple[str, ...]]:
        agent = self._registry.find(name)
        if agent is None or agent.record is None or agent.approval is None:
            return None, ()
        number = agent.approval
        deployed = await self._store.read(lambda reader: rows.get(reader, number))
        return agent.record.manifest, deployed.nixos_options


def _read_template(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
