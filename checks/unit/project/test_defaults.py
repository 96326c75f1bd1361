"""A default has one value: in the host's module, and in a hive without NixOS.

`modules/host` and `pyglue/config` each write it down; the recorded configuration of a
host that sets nothing is compared with the types' own.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from checks.nix.host import record
from pyglue import config as hive_config
from pyglue.config import HiveConfig, NixosConfig

MEANT: Final = {
    # `hive run` sets no limits. On NixOS a network makes the host a router with NAT.
    "limits.network": (False, True),
    # The sessions of `hive run` end with it.
    "web.trusted_days": (7, 0),
}
"""Defaults that differ on purpose: the host's, and that of a hive without NixOS."""

NO_DEFAULT: Final = {
    *("state_dir", "runtime_dir", "backend", "ids", "operators_gid"),
    *("nixpkgs_lib", "relay.api_key_file"),
}
"""What each host decides: who runs it, where it is, and its credential."""


def differing(
    host: msgspec.Struct, own: msgspec.Struct, above: str = ""
) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Yield the fields with two values, each with both."""
    for name in host.__struct_fields__:
        path, one, other = f"{above}{name}", getattr(host, name), getattr(own, name)
        if isinstance(one, msgspec.Struct) and isinstance(other, msgspec.Struct):
            yield from differing(one, other, f"{path}.")
        elif one != other:
            yield path, (one, other)


def test_both_places_say_the_same_default(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(record.read_expected()["smallest"]["settings"]))
    host = hive_config.load(file)
    assert host.nixos is not None
    nixos = NixosConfig(
        nixpkgs=host.nixos.nixpkgs,
        framework=host.nixos.framework,
        revision=host.nixos.revision,
    )
    own = HiveConfig(
        state_dir=host.state_dir, runtime_dir=host.runtime_dir, nixos=nixos
    )
    found = dict(differing(host, own))
    assert {path: v for path, v in found.items() if path not in NO_DEFAULT} == MEANT
