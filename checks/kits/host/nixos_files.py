"""A directory in which hived writes what NixOS's containers are made of."""

import os
import subprocess
from pathlib import Path
from typing import Any

from checks.kits.manifest.smallest import MANIFEST
from pyglue.config import HiveConfig, Ids, NixosConfig
from pyglue.host.backends.base import AgentSpec
from pyglue.host.backends.nixos_files import ContainerFiles, HostPlaces
from pyglue.manifest.record import PinnedRecord
from pyglue.paths import Layout

SYSTEM = "/nix/store/00000000000000000000000000000000-nixos-system"

DRV = f"{SYSTEM}.drv"


class Room:
    """A hive's directories and the host's, in a temporary one."""

    def __init__(self, path: Path, **nixos: Any) -> None:
        names = ("confs", "profiles", "units", "roots")
        self.places = HostPlaces(**{name: path / name for name in names})
        for name in names:
            (path / name).mkdir(parents=True, exist_ok=True)
        own = {"nixpkgs": "/n", "framework": "/f", "revision": "r"}
        self.nixos = NixosConfig(**{**own, **nixos})
        self.config = HiveConfig(
            state_dir=str(path / "state"),
            runtime_dir=str(path / "run"),
            backend="nixos-container",
            ids=Ids(agent=os.getuid() or 993, web=994, relay=995),
            nixos=self.nixos,
        )
        self.layout: Layout = self.config.layout
        self.mounted: list[Path] = []

    def files(self) -> ContainerFiles:
        return ContainerFiles(self.config, self.nixos, self.places)

    def make(self, *agents: str) -> None:
        for place in (self.layout.runtime / "agents", self.layout.applied_root):
            place.mkdir(parents=True, exist_ok=True)
        for agent in agents:
            for place in (
                self.layout.run(agent),
                self.layout.agent_state(agent),
                self.layout.session(agent),
            ):
                place.mkdir(parents=True, exist_ok=True)

    def conf(self, agent: str) -> str:
        return (self.places.confs / f"h-{agent}.conf").read_text()


def spec(name: str = "alice", **changes: Any) -> AgentSpec:
    record = PinnedRecord(MANIFEST, DRV).encode()
    made = AgentSpec(
        name=name,
        manager=name == "manager",
        record=record,
        network=False,
        memory_max=None,
        cpu_quota=None,
        system=DRV,
    )
    return AgentSpec(**{**made.__dict__, **changes})


def mounted(room: Room, path: Path) -> Path:
    """Bind a directory onto itself as the host's configuration does."""
    path.mkdir()
    for options in ("bind", "remount,bind,nosuid,nodev"):
        what = (str(path), str(path)) if options == "bind" else (str(path),)
        subprocess.run(["mount", "-o", options, *what], check=True)
    room.mounted.append(path)
    return path
