"""`nix flake check` passes, offline: nixpkgs is replaced by a small stand-in.

It runs in a copy of the files that git would commit, with a store of its own, so
that it needs neither root nor the machine's store.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent.parent
PARTS: Final = ("flake.nix", "flake.lock", "modules", "agents", "checks/nix")
FEATURES: Final = ("--extra-experimental-features", "nix-command flakes")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Copy what the flake reads into a directory that no git knows."""
    target = tmp_path / "tree"
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, target / part, ignore=ignored)
        else:
            target.mkdir(exist_ok=True)
            shutil.copy(source, target / part)
    return target


def flake_check(tree: Path) -> subprocess.CompletedProcess[str]:
    """Check the flake in `tree` with a private store and nothing to download."""
    home = tree.parent
    settings = ["sandbox = false", "build-users-group =", "substituters ="]
    return subprocess.run(
        [
            *("nix", *FEATURES, "flake", "check", "--no-write-lock-file"),
            *("--override-input", "nixpkgs", "path:checks/nix/nixpkgs-standin", "."),
        ],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "NIX_STORE_DIR": str(home / "store"),
            "NIX_STATE_DIR": str(home / "var"),
            "NIX_LOG_DIR": str(home / "log"),
            "NIX_CONF_DIR": str(home / "conf"),
            "NIX_CONFIG": "\n".join(settings),
        },
    )


def test_flake_check_passes_offline(tree: Path) -> None:
    done = flake_check(tree)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("modules/agent/options.nix", '"haiku"', '"opus"', "schema.json is out of"),
        ("modules/eval/report.nix", 'hyperhive" ]', 'hyper" ]', "corpus: good-"),
        ("agents/alice/agent.nix", "hyperhive = {", "hyperhive = ", "syntax error"),
        ("agents/alice/agent.nix", "model =", "modle =", "hyperhive.modle"),
    ],
)
def test_flake_check_fails_when(
    tree: Path, file: str, old: str, new: str, said: str
) -> None:
    path = tree / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    done = flake_check(tree)
    assert done.returncode != 0
    assert said in done.stderr


def test_the_lock_pins_nixpkgs_to_a_release() -> None:
    lock = json.loads((ROOT / "flake.lock").read_text())
    nixpkgs = lock["nodes"]["nixpkgs"]
    assert nixpkgs["original"]["ref"] in (ROOT / "flake.nix").read_text()
    assert len(nixpkgs["locked"]["rev"]) == 40
    assert nixpkgs["locked"]["narHash"].startswith("sha256-")
