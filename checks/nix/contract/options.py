"""The NixOS options that our modules set or read, and the kinds of their types."""

import json
import subprocess
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parent


def _evaluate(**arguments: str) -> Any:
    words = [word for pair in arguments.items() for word in ("--arg", *pair)]
    done = subprocess.run(
        [
            *("nix-instantiate", "--eval", "--strict", "--json", "--store", "dummy://"),
            *("--read-write-mode", str(HERE / "options.nix"), *words),
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def ours(lib: Path | None = None) -> dict[str, Any]:
    """Return ``host``, the stand-in's options, and ``container``, paths that are set.

    hyperhive's own lib, in the place of nixpkgs', leaves out options of submodules.
    """
    chosen = {} if lib is None else {"lib": f"import {lib}"}
    found: dict[str, Any] = _evaluate(nixpkgs="null", **chosen)
    return found


def real(nixpkgs: Path) -> dict[str, dict[str, Any]]:
    """Return the kind of each of them in NixOS."""
    named = ours(nixpkgs / "lib")
    paths = [option["path"] for option in named["host"]] + named["container"]
    listed = json.dumps(json.dumps(paths)).replace("${", "\\${")
    found = _evaluate(
        nixpkgs=str(nixpkgs),
        lib=f"import {nixpkgs / 'lib'}",
        paths=f"builtins.fromJSON {listed}",
    )
    return {
        ".".join(one["path"]): {"kind": one["kind"]}
        for one in sorted(found, key=lambda one: one["path"])
    }
