"""Systems of agents to test with: the stand-in nixpkgs, and a store of one's own.

The store lies below a temporary directory (``local?root=``), so nothing of a test gets
into this machine's own, and paths are those of ``/nix/store`` all the same.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import pytest

from checks.kits.manifest.smallest import MANIFEST
from checks.kits.nix.standin import NIX_CONF, make_nixpkgs
from pyglue.config import NixosConfig
from pyglue.nix.build import Builder
from pyglue.nix.hoststore import HostStore
from pyglue.nix.system import SystemEvaluator
from pyglue.paths import share

REVISION: Final = "test-revision"
UID: Final = 62001


def environment(room: Path) -> dict[str, str]:
    """Return what makes Nix use a store below ``room``."""
    conf = room / "conf"
    conf.mkdir(parents=True, exist_ok=True)
    (conf / "nix.conf").write_text(NIX_CONF)
    return {
        "NIX_CONF_DIR": str(conf),
        "NIX_REMOTE": f"local?root={room / 'root'}",
        "PATH": os.environ["PATH"],
    }


@dataclass
class SystemKit:
    """A private store, and what a hive would do with it."""

    room: Path
    nixpkgs: Path
    lines: list[str] = field(default_factory=list)

    @classmethod
    def make(cls, room: Path) -> "SystemKit":
        """Make one below ``room``."""
        room.chmod(0o755)
        return cls(room, make_nixpkgs(room / "nixpkgs"))

    @property
    def store(self) -> HostStore:
        """The store, as the host's."""
        return HostStore(
            environment={"HOME": str(self.room), **environment(self.room)},
            root=self.room / "root",
        )

    def config(self, **changes: Any) -> NixosConfig:
        """Return a configuration, with long limits."""
        given: dict[str, Any] = {
            "nixpkgs": str(self.nixpkgs),
            "framework": str(share()),
            "revision": REVISION,
            "evaluate_s": 300.0,
            "build_s": 300.0,
        }
        return NixosConfig(**{**given, **changes})

    def evaluator(self, **changes: Any) -> SystemEvaluator:
        """Return an evaluator of systems."""
        made = SystemEvaluator(self.config(**changes), uid=UID, store=self.store)
        made.check()
        return made

    @cached_property
    def _plain(self) -> SystemEvaluator:
        """An evaluator without changes; its check takes as long as an evaluation."""
        return self.evaluator()

    async def evaluate(
        self,
        directory: Path,
        *,
        evaluator: SystemEvaluator | None = None,
        manifest: Mapping[str, Any] = MANIFEST,
        manager: bool = False,
    ) -> str:
        """Evaluate an agent's system into the store and return its derivation."""
        made = evaluator or self._plain
        async with made.evaluated(
            directory, manifest, name="alice", manager=manager
        ) as evaluated:
            await evaluated.into_store()
            return evaluated.drv

    def builder(self, timeout: float = 300.0) -> Builder:
        """Return a builder, with Nix's sandbox."""
        return Builder(timeout=timeout, store=self.store)

    async def build(self, drv: str, *, timeout: float = 300.0) -> str:
        """Build it; ``lines`` is the log after."""
        self.lines.clear()
        root = self.room / "built" / Path(drv).name
        return await self.builder(timeout).realise(
            drv, root=root, log=self.lines.append
        )


def bare(patch: pytest.MonkeyPatch) -> None:
    """Let a fence that is made from now on find no bubblewrap."""
    patch.setattr("pyglue.nix.fence.Fence._sandbox_works", lambda _: False)
