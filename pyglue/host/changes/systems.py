"""The NixOS systems of agents, where the backend has them: evaluate, compare, keep.

hived has one ``Systems`` on the ``nixos-container`` backend and none on the local one.
``proposals`` has a system evaluated and compared before approval; ``deploy`` has it
built by the backend. The store records what either needs later.
"""

import asyncio
import hashlib
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pyglue.api.event_values import NotificationKind
from pyglue.api.system import ClosureDiff
from pyglue.config import HiveConfig, NixosConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.export import export_tree
from pyglue.git.repos import AppliedRepo
from pyglue.host.messages.notifications import Notifications
from pyglue.host.policy.system import SystemChange
from pyglue.manifest.record import PinnedRecord
from pyglue.nix.closure import diff_closures
from pyglue.nix.flake import HiveFlake
from pyglue.nix.hoststore import HostStore
from pyglue.nix.packages import diff_packages
from pyglue.nix.roots import DerivationRoots
from pyglue.nix.system import SystemEvaluator
from pyglue.store import systems as rows
from pyglue.store.database import Reader, Store, Tx
from pyglue.store.systems import NewSystem, SystemRow
from pyglue.text.display import visible

_log = logging.getLogger(__name__)
_DEPLOYED_KEPT: Final = 10


@dataclass(frozen=True, kw_only=True)
class RootedSystem:
    """An evaluated system, kept by ``root`` until ``assign`` or ``drop``.

    ``before`` is the deployed system, None if there is none. ``nixos_options`` are the
    options that agent.nix sets, ``depends_on`` the manifest's options that affect the
    system; both are None if the system was not evaluated again.
    """

    new: NewSystem
    root: Path
    before: SystemRow | None
    nixos_options: tuple[str, ...] | None = None
    depends_on: tuple[str, ...] | None = None
    printed: tuple[str, ...] = ()
    """Warnings and traces that the evaluation printed."""

    @property
    def change(self) -> SystemChange:
        """How it differs from the deployed system."""
        before, new = self.before, self.new
        ours = (new.nixpkgs, new.revision)
        return SystemChange(
            changed=before is None or before.drv != new.drv,
            derivations=new.packages.derivations,
            first=before is None,
            host_changed=before is not None
            and (before.nixpkgs, before.revision) != ours,
            depends_on=self.depends_on or (),
        )


@dataclass(frozen=True, kw_only=True)
class Systems:
    """Everything about systems except running them."""

    store: Store
    evaluator: SystemEvaluator
    nixos: NixosConfig
    nix: HostStore
    roots: DerivationRoots
    flake: HiveFlake

    @classmethod
    def of(cls, config: HiveConfig, store: Store) -> "Systems":
        """Return the systems of a hive whose agents are NixOS systems. Blocking.

        Raises:
            HiveError: ``config_invalid``, ``missing_program``.
        """
        nixos, ids = config.nixos, config.ids
        if nixos is None or ids is None:
            raise HiveError(
                ErrorCode.CONFIG_INVALID,
                f"The {config.backend} backend needs `nixos` and `ids` in the "
                "configuration file; the NixOS module writes both.",
            )
        nix = HostStore()
        evaluator = SystemEvaluator(nixos, uid=ids.agent, store=nix)
        evaluator.check()
        hive = hashlib.sha256(config.state_dir.encode()).hexdigest()[:16]
        flake = HiveFlake(config.layout.flake, nixos, uid=ids.agent)
        return cls(
            store=store,
            evaluator=evaluator,
            nixos=nixos,
            nix=nix,
            roots=DerivationRoots(nix, hive),
            flake=flake,
        )

    async def evaluate(
        self,
        directory: Path,
        manifest: Mapping[str, Any],
        *,
        name: str,
        manager: bool,
        deployed: int | None,
    ) -> RootedSystem:
        """Evaluate an agent's system and compare it with that of ``deployed``.

        Raises:
            EvalError: ``eval_failed``, ``eval_limit``, for the proposer.
            HiveError: ``unavailable``.
        """
        before = None if deployed is None else await self.row(deployed)
        async with self.evaluator.evaluated(
            directory, manifest, name=name, manager=manager
        ) as evaluated:
            drv = evaluated.drv
            # Rooted before it is in the store, so that it is never collected.
            root = await asyncio.to_thread(self.roots.hold, drv)
            try:
                await evaluated.into_store()
                packages = await diff_packages(
                    self.nix,
                    None if before is None else before.drv,
                    drv,
                    base=deployed if before is not None else None,
                )
            except BaseException:
                self.roots.drop(root)
                raise
        new = NewSystem(
            drv=drv,
            nixpkgs=self.nixos.nixpkgs,
            revision=self.nixos.revision,
            packages=packages,
        )
        return RootedSystem(
            new=new,
            root=root,
            before=before,
            nixos_options=evaluated.nixos_options,
            depends_on=evaluated.depends_on,
            printed=evaluated.printed,
        )

    async def again(self, approval: int, deployed: int | None) -> RootedSystem | None:
        """Return an earlier approval's system as a new one; None if it is gone."""
        row = await self.row(approval)
        if row is None:
            return None
        root = await asyncio.to_thread(self.roots.hold, row.drv)
        try:
            if not await asyncio.to_thread(self.nix.real(row.drv).exists):
                self.roots.drop(root)
                return None
            before = None if deployed is None else await self.row(deployed)
            packages = await diff_packages(
                self.nix,
                None if before is None else before.drv,
                row.drv,
                base=deployed if before is not None else None,
            )
        except BaseException:
            self.roots.drop(root)
            raise
        new = NewSystem(
            drv=row.drv, nixpkgs=row.nixpkgs, revision=row.revision, packages=packages
        )
        return RootedSystem(new=new, root=root, before=before)

    @staticmethod
    def insert(tx: Tx, approval: int, rooted: RootedSystem) -> None:
        """Record a system in the transaction of its approval."""
        rows.insert(tx, approval, rooted.new)

    async def row(self, approval: int) -> SystemRow | None:
        """Return the system of an approval."""
        return await self.store.read(lambda reader: rows.get(reader, approval))

    async def compare_built(
        self, approval: int, toplevel: str, deployed: int | None
    ) -> ClosureDiff:
        """Record a built system, and how it differs from the deployed one.

        Raises:
            HiveError: ``unavailable``.
        """
        await self.store.write(lambda tx: rows.built(tx, approval, toplevel))
        before = None if deployed is None else await self.row(deployed)
        old = None if before is None else before.toplevel
        if old is not None and not await asyncio.to_thread(self.nix.real(old).exists):
            old = None
        closure = await diff_closures(
            self.nix, old, toplevel, base=None if old is None else deployed
        )
        await self.store.write(lambda tx: rows.set_closure(tx, approval, closure))
        return closure

    async def start(self, notifications: Notifications) -> None:
        """Clean up at hived's start; notify once about each outdated system."""
        known = await self.store.read(lambda reader: frozenset(rows.deployed(reader)))
        try:
            await asyncio.to_thread(self._tidy, known)
        except OSError as error:
            _log.warning("could not clean up the hive's flake and GC roots: %s", error)
        nixpkgs, revision = self.nixos.nixpkgs, self.nixos.revision
        for name in sorted(await self.store.read(self.outdated)):
            await notifications.give(
                NotificationKind.NEEDS_UPDATE,
                name,
                f"{name} needs an update: its system was built with a different "
                f"nixpkgs or hive (hive {visible(revision, limit=100)}). Rebuild it, "
                "or propose a commit; either shows the differences.",
                key=f"update:{name}:{revision}:{nixpkgs}",
                data={"revision": revision, "nixpkgs": nixpkgs},
            )

    def _tidy(self, known: frozenset[str]) -> None:
        self.roots.clear_new()
        self.flake.write()
        self.flake.tidy(known)

    def show(self, repo: AppliedRepo, name: str, record: PinnedRecord, at: str) -> None:
        """Add the deployed commit ``at`` to the hive's flake. Blocking."""
        with tempfile.TemporaryDirectory(dir=repo.path.parent) as temporary:
            tree = Path(temporary, "config")
            tree.mkdir()
            export_tree(repo, at, tree)
            self.flake.put(name, tree, record.manifest)

    async def sweep(self) -> None:
        """Release derivations that are no longer needed; called at intervals."""
        keep = await self.store.read(
            lambda reader: rows.worth_keeping(reader, _DEPLOYED_KEPT)
        )
        try:
            await asyncio.to_thread(self.roots.sweep, keep)
        except OSError as error:
            _log.warning("could not remove unneeded derivations: %s", error)

    def outdated(self, reader: Reader) -> frozenset[str]:
        """Return the agents deployed with another nixpkgs or revision of the hive."""
        ours = (self.nixos.nixpkgs, self.nixos.revision)
        deployed = rows.deployed(reader)
        return frozenset(name for name, with_ in deployed.items() if with_ != ours)
