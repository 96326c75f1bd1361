"""From a manager's commit to an approval.

The pack arrives over the socket in chunks; it is checked in quarantine and then
evaluated (``evaluation``). A refusal goes to the proposer and leaves nothing behind:
the operator sees only complete proposals. New agents are created from the template in
one step or in two, as a draft (``drafts``) whose first commit is proposed like any
other.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pyglue import names
from pyglue.api.approvals import ApprovalKind
from pyglue.api.manager import ProposalResult, SubmitBeginParams, SubmitBeginResult
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.fence import Fence
from pyglue.git.host_commits import commit_files, seed_main
from pyglue.git.quarantine import CheckedCommit, import_pack
from pyglue.git.repos import AppliedRepo
from pyglue.git.spare import SpareChild
from pyglue.git.tags import AUTHOR_NAME
from pyglue.host.agents.directories import Directories
from pyglue.host.agents.kept_files import KeptFiles
from pyglue.host.changes.evaluation import Evaluation
from pyglue.host.changes.pinning import Pinning, Proposed
from pyglue.host.changes.template import read_template
from pyglue.host.changes.uploads import Uploads
from pyglue.host.core.name_conflicts import check_free
from pyglue.host.core.registry import Registry
from pyglue.store import drafts
from pyglue.store.database import Store


@dataclass(frozen=True, kw_only=True)
class _Own:
    """Files that hived itself commits for an agent, and how the commit is described."""

    agent: str
    files: Mapping[str, bytes]
    message: str
    description: str
    by: str

    def proposed(self, kind: ApprovalKind, commit: str, main: str | None) -> Proposed:
        return Proposed(
            agent=self.agent,
            kind=kind,
            commit=commit,
            main=main,
            author=AUTHOR_NAME,
            message=self.message,
            description=self.description,
            by=self.by,
        )


@dataclass(kw_only=True)
class Proposals:
    """Accepts packs and template spawns, and turns them into pending approvals."""

    store: Store
    registry: Registry
    evaluation: Evaluation
    pinning: Pinning
    directories: Directories
    kept_files: KeptFiles
    config: HiveConfig
    templates: Path
    uploads: Uploads = field(init=False)
    _locks: dict[str, asyncio.Lock] = field(
        default_factory=lambda: defaultdict(asyncio.Lock), init=False
    )
    fence: Fence = field(default_factory=Fence, init=False)
    """The sandbox of the programs that read packs, including those of imports."""
    _spare: SpareChild = field(init=False)

    def __post_init__(self) -> None:
        self.uploads = Uploads(quarantine=self.config.layout.quarantine)
        self._spare = SpareChild(
            self.fence,
            workdir=self.config.layout.quarantine,
            shown=self.config.layout.applied_root,
        )

    def lock(self, name: str) -> asyncio.Lock:
        """Return the lock for changes to an agent's applied repository."""
        return self._locks[name]

    async def close(self) -> None:
        """Stop the programs started in advance for the next commit."""
        await asyncio.to_thread(self._spare.close)
        await asyncio.to_thread(self.evaluation.evaluator.spare.close)

    def _prepare(self, agent: str) -> None:
        """Start the programs for the next commit in the background.

        The next commit is probably one of ``agent``.
        """
        loop = asyncio.get_running_loop()
        known = AppliedRepo(self.config.layout.applied(agent)).objects
        loop.run_in_executor(None, self._spare.prepare, known)
        loop.run_in_executor(None, self.evaluation.evaluator.spare.prepare)

    # --- packs ----------------------------------------------------------------------

    async def begin(self, params: SubmitBeginParams) -> SubmitBeginResult:
        """Open an upload for a commit of an agent or a draft.

        Raises:
            HiveError: ``not_found``, ``invalid_name``, ``too_many``, ``conflict``.
        """
        agent = names.check(params.agent)
        kind = await self._kind(agent, spawn=params.spawn)
        main = AppliedRepo(self.config.layout.applied(agent)).main()
        upload = self.uploads.open(agent, params.commit, params.description, kind)
        self._prepare(agent)
        return SubmitBeginResult(upload=upload, main=main)

    async def _kind(self, name: str, *, spawn: bool) -> ApprovalKind:
        draft = await self.store.read(lambda reader: drafts.get(reader, name))
        if draft is None:
            self.registry.get(name)
            if spawn:
                raise HiveError(
                    ErrorCode.CONFLICT,
                    f"{name} is already an agent, not a draft: propose the commit "
                    "with request_apply_commit.",
                )
            return ApprovalKind.CHANGE
        if not spawn:
            raise HiveError(
                ErrorCode.CONFLICT,
                f"{name} is a draft: propose its first commit with "
                "request_spawn_commit.",
            )
        return ApprovalKind.SPAWN

    async def submit(self, upload: str, by: str) -> ProposalResult:
        """Check and evaluate an uploaded commit, and queue it for the operator.

        Raises:
            HiveError: the commit or its manifest is invalid or exceeds a limit.
        """
        found = self.uploads.whole(upload)
        try:
            async with self._locks[found.agent]:
                await self._kind(
                    found.agent, spawn=found.kind is ApprovalKind.SPAWN
                )  # the agent may be gone
                repo = AppliedRepo(self.config.layout.applied(found.agent))
                checked: CheckedCommit = await asyncio.to_thread(
                    import_pack,
                    found.path,
                    found.commit,
                    repo,
                    workdir=self.config.layout.quarantine,
                    spare=self._spare,
                )
                proposed = Proposed(
                    agent=found.agent,
                    kind=found.kind,
                    commit=checked.sha,
                    main=checked.parent_main,
                    author=f"{checked.author.name} <{checked.author.email}>",
                    message=checked.message,
                    description=found.description,
                    by=by,
                )
                return await self.pinning.propose(repo, proposed)
        finally:
            self.uploads.drop(upload)
            # Only now: starting programs would delay the answer.
            asyncio.get_running_loop().call_soon(self._prepare, found.agent)

    # --- spawns ---------------------------------------------------------------------

    async def spawn(self, name: str, description: str, by: str) -> ProposalResult:
        """Propose a new agent made from the template.

        Raises:
            HiveError: ``invalid_name``, ``name_reserved``, ``name_taken``.
        """
        names.check_new(name)
        files = await asyncio.to_thread(read_template, self.templates, description)
        return await self._seed(
            _Own(
                agent=name,
                files=files,
                message=f"Create {name} from the template",
                description=description,
                by=by,
            )
        )

    async def declare(
        self, name: str, files: Mapping[str, bytes], description: str, by: str
    ) -> ProposalResult:
        """Propose an agent declared by the configuration, with these files.

        Raises:
            HiveError: ``invalid_name``, ``name_taken``; for invalid files.
        """
        if name != names.MANAGER:
            names.check_new(name)
        return await self._seed(
            _Own(
                agent=name,
                files=files,
                message=f"Create {name} as declared",
                description=description,
                by=by,
            )
        )

    async def redeclare(
        self, name: str, files: Mapping[str, bytes], description: str, by: str
    ) -> ProposalResult | None:
        """Propose exactly these files for an agent; None if main already has them.

        Raises:
            HiveError: the files or the manifest are invalid or exceed a limit.
        """
        own = _Own(
            agent=name,
            files=files,
            message=f"Adopt the declared files of {name}",
            description=description,
            by=by,
        )
        async with self._locks[name]:
            repo = AppliedRepo(self.config.layout.applied(name))
            main = await asyncio.to_thread(repo.main)
            commit = await asyncio.to_thread(
                commit_files, repo, files, message=own.message
            )
            if commit is None:
                return None
            proposed = own.proposed(ApprovalKind.CHANGE, commit, main)
            return await self.pinning.propose(repo, proposed)

    async def _seed(self, own: _Own) -> ProposalResult:
        name = own.agent
        async with self._locks[name]:
            await self.store.read(lambda reader: check_free(reader, name, again=True))
            return await self._first(own)

    async def _first(self, own: _Own) -> ProposalResult:
        name = own.agent
        if self.registry.find(name) is None:  # else its first deploy failed
            await asyncio.to_thread(self.kept_files.forget_proposed, name)
        await asyncio.to_thread(self.directories.settle_port, name)
        repo = await asyncio.to_thread(
            AppliedRepo.create, self.config.layout.applied(name)
        )
        commit = await asyncio.to_thread(
            seed_main, repo, own.files, message=own.message
        )
        proposed = own.proposed(ApprovalKind.SPAWN, commit, None)
        return await self.pinning.propose(repo, proposed)
