"""The hive's own flake: deployed agents, as ``nixosConfigurations.h-NAME``.

For inspecting an agent's system with Nix's own tools (``nix flake show``, ``nix eval``,
``nix build``); hived never evaluates it. It pins nixpkgs and the hive's modules by
their store paths. ``flake.nix`` contains no text from agents: their files are in
directories with checked names, where ``modules/hive`` reads them.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pyglue.config import NixosConfig
from pyglue.manifest.record import canonical
from pyglue.names import check

_TEXT: Final = """\
# Written by hived: what is deployed in this hive. Changes here are overwritten and
# change nothing that runs.
{
  inputs.nixpkgs = {
    type = "path";
    path = @nixpkgs@;
    flake = false;
  };
  inputs.hyperhive = {
    type = "path";
    path = @framework@;
    flake = false;
  };

  outputs =
    {
      self,
      nixpkgs,
      hyperhive,
    }:
    {
      nixosConfigurations = import (hyperhive + "/modules/hive") {
        inherit nixpkgs;
        directory = ./.;
      };
    };
}
"""


class HiveFlake:
    """The flake in ``directory``. Everything blocks, so call it in a thread."""

    def __init__(self, directory: Path, nixos: NixosConfig, *, uid: int) -> None:
        self._directory = directory
        self._nixos = nixos
        self._uid = uid

    def write(self) -> None:
        """Write everything but the agents; called when hived starts."""
        (self._directory / "agents").mkdir(parents=True, exist_ok=True)
        modules = self._directory / "modules"
        shutil.rmtree(modules, ignore_errors=True)
        modules.mkdir()
        names = []
        for number, module in enumerate(self._nixos.modules):
            names.append(f"{number}.nix")
            shutil.copyfile(module, modules / names[-1])
        text = _TEXT
        for word, path in (
            ("@nixpkgs@", self._nixos.nixpkgs),
            ("@framework@", self._nixos.framework),
        ):
            text = text.replace(word, nix_string(path))
        settings = {"system": self._nixos.system, "uid": self._uid, "modules": names}
        (self._directory / "hive.json").write_bytes(canonical(settings))
        (self._directory / "flake.nix").write_text(text, encoding="utf-8")

    def put(self, name: str, config: Path, manifest: Mapping[str, Any]) -> None:
        """Move the deployed tree from ``config`` into the flake, and add its manifest.

        Raises:
            HiveError: ``invalid_name``.
        """
        place = self._directory / "agents" / check(name)
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        (place / "manifest.json").write_bytes(canonical(manifest))
        shutil.move(config, place / "config")

    def remove(self, name: str) -> None:
        """Remove an agent; it is no error if there is none."""
        shutil.rmtree(self._directory / "agents" / check(name), ignore_errors=True)

    def tidy(self, names: frozenset[str]) -> None:
        """Remove all agents except these."""
        for place in (self._directory / "agents").iterdir():
            if place.name not in names:
                shutil.rmtree(place, ignore_errors=True)


def nix_string(text: str) -> str:
    """Return any text as a Nix string."""
    return json.dumps(text, ensure_ascii=False).replace("${", "\\${")
