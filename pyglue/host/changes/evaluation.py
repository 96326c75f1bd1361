"""From a commit in an applied repository to its manifest, and its system if it has one.

The tree is evaluated once in the restricted evaluator, and validated against the
trusted options and the operator's limits. Where agents are NixOS systems, the system
is evaluated too, and compared with the deployed one. Nothing is built or fetched here.
``pinning`` makes an approval of the result.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyglue import manifest_checks, manifest_schema
from pyglue.config import HiveConfig
from pyglue.display import listed, visible
from pyglue.errors import HiveError
from pyglue.git.export import export_tree
from pyglue.git.repos import AppliedRepo
from pyglue.host.changes.systems import Held, Systems
from pyglue.host.core.registry import Registry
from pyglue.host.core.workspaces import Workspaces
from pyglue.host.policy.operator_limits import check_operator_limits
from pyglue.manifest import PinnedRecord
from pyglue.names import MANAGER
from pyglue.nix import Evaluator


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """What a commit says: ``held`` is its system, None where agents have none.

    ``evaluated_at`` is where the evaluation saw its files; empty if there was none.
    ``said`` is what it printed.
    """

    manifest: Mapping[str, Any]
    nixos_options: tuple[str, ...]
    held: Held | None
    evaluated_at: str = ""
    said: tuple[str, ...] = ()


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
        """Evaluate a commit; pin or ``drop`` what is returned.

        Raises:
            HiveError: whatever is wrong with the manifest or its limits.
        """
        async with self._running, self.evaluator.tree() as tree:
            await asyncio.to_thread(export_tree, repo, commit, tree.directory)
            found = await tree.evaluate(commit=commit)
            manifest = manifest_schema.validate(found.manifest)
            self.check_limits(PinnedRecord(manifest, None))
            held = await self._system(tree.directory, manifest, name)
        options = found.nixos_options
        if held is not None and held.nixos_options is not None:
            options = held.nixos_options  # of the evaluation that counts
        printed = found.said if held is None else (*found.said, *held.said)
        return Evaluated(
            manifest=manifest,
            nixos_options=options,
            held=held,
            evaluated_at=found.evaluated_at,
            said=printed,
        )

    async def checked(self, repo: AppliedRepo, commit: str, name: str) -> Evaluated:
        """Evaluate a commit that is new, and refuse mistakes that no type finds.

        Raises:
            HiveError: as ``evaluate`` does; with the mistakes.
        """
        found = await self.evaluate(repo, commit, name)
        try:
            await asyncio.to_thread(
                manifest_checks.check,
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
        """Refuse what the operator's limits forbid, or what this hive does not have.

        Raises:
            HiveError: with the option and the limit; with the workspace.
        """
        check_operator_limits(
            record.typed, self.config.limits, resolve=self.config.catalogue.resolve
        )
        self.workspaces.check(record.typed)

    def drop(self, found: Evaluated) -> None:
        """Release what was evaluated and will not be queued."""
        if self.systems is not None and found.held is not None:
            self.systems.roots.drop(found.held.root)

    def without_effect(self, found: Evaluated) -> tuple[str, ...]:
        """Return what the proposer should know of; the policy diff has it too."""
        if self.systems is not None or not found.nixos_options:
            return ()
        names = listed(map(visible, found.nixos_options))
        return (
            f"Without effect, because this hive runs agents without NixOS: {names}.",
        )

    async def _system(
        self, directory: Path, manifest: Mapping[str, Any], name: str
    ) -> Held | None:
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
