"""Evaluates a commit of an applied repository: its manifest, and its NixOS system.

The tree is evaluated once in the restricted evaluator, and validated against the
trusted options and the operator's limits. Where agents are NixOS systems, the system
is evaluated too, and compared with the deployed one. Nothing is built or fetched here.
``pinning`` turns the result into an approval.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyglue.config import HiveConfig
from pyglue.errors import HiveError
from pyglue.git.export import export_tree
from pyglue.git.repos import AppliedRepo
from pyglue.host.changes.systems import RootedSystem, Systems
from pyglue.host.core.registry import Registry
from pyglue.host.core.workspaces import Workspaces
from pyglue.host.policy.operator_limits import check_operator_limits
from pyglue.manifest import proposal_checks, schema
from pyglue.manifest.record import PinnedRecord
from pyglue.names import MANAGER
from pyglue.nix import Evaluator
from pyglue.text.display import listed, visible


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """The result for a commit: ``rooted`` is its system, None where agents have none.

    ``evaluated_at`` is the path of the files during the evaluation, empty if there was
    none. ``printed`` contains the warnings and traces that it printed.
    """

    manifest: Mapping[str, Any]
    nixos_options: tuple[str, ...]
    rooted: RootedSystem | None
    evaluated_at: str = ""
    printed: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Evaluates commits, at most two at a time."""

    registry: Registry
    evaluator: Evaluator
    config: HiveConfig
    workspaces: Workspaces
    systems: Systems | None = None
    _running: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(2), init=False
    )

    async def evaluate(self, repo: AppliedRepo, commit: str, name: str) -> Evaluated:
        """Evaluate a commit. The caller must pin or ``drop`` the result.

        Raises:
            HiveError: the manifest is invalid or exceeds a limit.
        """
        async with self._running, self.evaluator.tree() as tree:
            await asyncio.to_thread(export_tree, repo, commit, tree.directory)
            found = await tree.evaluate(commit=commit)
            manifest = schema.validate(found.manifest)
            self.check_limits(PinnedRecord(manifest, None))
            rooted = await self._system(tree.directory, manifest, name)
        options = found.nixos_options
        if rooted is not None and rooted.nixos_options is not None:
            options = rooted.nixos_options  # the system's evaluation is decisive
        printed = found.printed if rooted is None else (*found.printed, *rooted.printed)
        return Evaluated(
            manifest=manifest,
            nixos_options=options,
            rooted=rooted,
            evaluated_at=found.evaluated_at,
            printed=printed,
        )

    async def checked(self, repo: AppliedRepo, commit: str, name: str) -> Evaluated:
        """Evaluate a new commit, and refuse mistakes that types cannot detect.

        Raises:
            HiveError: as ``evaluate``; or it lists the mistakes.
        """
        found = await self.evaluate(repo, commit, name)
        try:
            await asyncio.to_thread(
                proposal_checks.check,
                found.manifest,
                evaluated_at=found.evaluated_at,
                nixos_options=found.nixos_options,
                ignored=self.systems is None,
                models=self.config.catalogue,
            )
        except HiveError:
            self.drop(found)
            raise
        return found

    def check_limits(self, record: PinnedRecord) -> None:
        """Enforce the operator's limits; check that the workspaces exist on this hive.

        Raises:
            HiveError: names the option and the limit, or the workspace.
        """
        check_operator_limits(
            record.typed, self.config.limits, resolve=self.config.catalogue.resolve
        )
        self.workspaces.check(record.typed)

    def drop(self, found: Evaluated) -> None:
        """Release a result that will not be queued."""
        if self.systems is not None and found.rooted is not None:
            self.systems.roots.drop(found.rooted.root)

    def without_effect(self, found: Evaluated) -> tuple[str, ...]:
        """Return a note on options without effect; the policy diff lists them too."""
        if self.systems is not None or not found.nixos_options:
            return ()
        names = listed(map(visible, found.nixos_options))
        return (
            f"Without effect, because this hive runs agents without NixOS: {names}.",
        )

    async def _system(
        self, directory: Path, manifest: Mapping[str, Any], name: str
    ) -> RootedSystem | None:
        if self.systems is None:
            return None
        agent = self.registry.find(name)
        return await self.systems.evaluate(
            directory,
            manifest,
            name=name,
            manager=name == MANAGER,
            deployed=None if agent is None else agent.approval,
        )
