"""``python -m checks.nix.real --nixpkgs PATH``: everything with a real nixpkgs.

Run by ``checks/nix/real.sh``, by hand or by the CI of a fork: the project's own tests
have no nixpkgs. Each step prints its time and the most memory that a process of it had;
the exit code is 1 if any failed.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from checks.kits.suite import nixpkgs_python, pins
from checks.nix.contract import options
from checks.nix.contract.__main__ import read
from pyglue.config import NixosConfig
from pyglue.errors import HiveError
from pyglue.nix import Evaluator
from pyglue.nix.hoststore import HostStore
from pyglue.nix.system import SystemEvaluator

ROOT: Final = Path(__file__).resolve().parents[3]
AGENTS: Final = Path(__file__).resolve().parent / "agents"
_FLAKES: Final = ("--extra-experimental-features", "nix-command flakes")
_NO_BUILDS: Final = ("--option", "allow-import-from-derivation", "false")
_UID: Final = 58001

Step = Callable[[Path], str]


class _FailedError(Exception):
    """A step did not do what it should."""


def _nix(*argv: str) -> str:
    done = subprocess.run(
        argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=3600
    )
    if done.returncode != 0:
        raise _FailedError(done.stderr.strip())
    return done.stdout.strip()


def _flake(nixpkgs: Path, attribute: str) -> str:
    given = ("--no-write-lock-file", "--override-input", "nixpkgs", f"path:{nixpkgs}")
    words = ("nix", *_FLAKES, "eval", "--raw", *_NO_BUILDS, *given)
    return _nix(*words, f"path:{ROOT}#{attribute}")


def package(nixpkgs: Path) -> str:
    """Instantiate the package, without a flake."""
    expression = f"(import {nixpkgs} {{ }}).callPackage {ROOT}/package.nix {{ }}"
    return _nix("nix-instantiate", "--expr", expression, *_NO_BUILDS)


def versions(nixpkgs: Path) -> str:
    """Compare checks/pins/nixpkgs.txt with what is there."""
    names = " ".join(f'"{name}"' for name in pins.read())
    expression = f"""
      let python = (import {nixpkgs} {{ }}).python3.pkgs; in
      builtins.listToAttrs (map (name: {{
        inherit name; value = python.${{name}}.version or null;
      }}) [ {names} ]) // {{ python3 = python.python.pythonVersion; }}"""
    words = ("nix-instantiate", "--eval", "--strict", "--json", "--expr", expression)
    found = json.loads(_nix(*words))
    # The SDK's version is our own choice (package.nix).
    differ = [
        f"{name}: {version} here, {found[name]} there"
        for name, version in (pins.read() | {"python3": nixpkgs_python.VERSION}).items()
        if name != "claude-agent-sdk" and found[name] not in (None, version)
    ]
    if differ:
        raise _FailedError("; ".join(differ))
    return f"{len(found)} as pinned"


def types(nixpkgs: Path) -> str:
    """Compare the kinds of NixOS's options with those that are recorded."""
    known, found = read("options")["options"], options.real(nixpkgs)
    differ = [
        f"{path}: {found.get(path)}"
        for path, option in known.items()
        if (found.get(path) or {}).get("kind") != option["kind"]
    ]
    if differ:
        raise _FailedError("; ".join(differ))
    return f"{len(found)} as recorded"


def machine(nixpkgs: Path) -> str:
    """Evaluate the example machine."""
    system = "nixosConfigurations.example.config.system.build.toplevel"
    return _flake(nixpkgs, f"{system}.drvPath")


def virtual_machine(nixpkgs: Path) -> str:
    """Evaluate the virtual machine's test."""
    return _flake(nixpkgs, "checks.x86_64-linux.virtual-machine.drvPath")


def flake_check(nixpkgs: Path) -> str:
    """Run ``nix flake check`` without building."""
    given = ("--no-write-lock-file", "--override-input", "nixpkgs", f"path:{nixpkgs}")
    words = ("nix", *_FLAKES, "flake", "check", "--no-build", *_NO_BUILDS, *given)
    _nix(*words, f"path:{ROOT}")
    return "passed"


def agent(name: str) -> Step:
    """Return the step that evaluates one agent as hived does at a proposal."""

    async def evaluate(nixpkgs: Path) -> str:
        own = AGENTS / name
        manifest = (await Evaluator(timeout=60).evaluate(own)).manifest
        config = NixosConfig(
            nixpkgs=str(nixpkgs), framework=str(ROOT), revision="real", evaluate_s=600.0
        )
        with tempfile.TemporaryDirectory() as place:
            environment = {"NIX_REMOTE": f"local?root={place}", "HOME": place}
            environment["PATH"] = os.environ["PATH"]
            store = HostStore(environment=environment, root=Path(place))
            made = SystemEvaluator(config, uid=_UID, store=store)
            made.check()
            async with made.evaluated(own, manifest, name="real", manager=False) as out:
                return f"{out.drv} sets {', '.join(out.nixos_options)}"

    def step(nixpkgs: Path) -> str:
        try:
            return asyncio.run(evaluate(nixpkgs))
        except HiveError as error:
            raise _FailedError(error.message) from error

    return step


def agents() -> tuple[str, ...]:
    """Return the names of the agents."""
    return tuple(sorted(path.name for path in AGENTS.iterdir()))


def steps() -> dict[str, Step]:
    """Return all steps, the quick ones first."""
    return {
        "options": types,
        "versions": versions,
        "package": package,
        **{f"agent-{name}": agent(name) for name in agents()},
        "machine": machine,
        "virtual-machine": virtual_machine,
        "flake-check": flake_check,
    }


def _measured(name: str, nixpkgs: Path, answer: "multiprocessing.Queue[str]") -> None:
    """Run a step in a process of its own, so that its memory is its own."""
    began, code = time.monotonic(), 0
    try:
        said = steps()[name](nixpkgs)
    except _FailedError as error:
        said, code = f"FAILED: {error}", 1
    except Exception as error:  # whatever it is: without an answer nothing would end
        said, code = f"FAILED: {type(error).__name__}: {error}", 1
    said = said.replace("\n", "\n    ")
    seconds = time.monotonic() - began
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    answer.put(f"{seconds:7.1f} s {memory:6} MiB  {said}")
    sys.exit(code)


def main() -> int:
    """Run the steps that are asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nixpkgs", type=Path, required=True, help="a checkout")
    known = steps()
    parser.add_argument("--only", nargs="+", choices=sorted(known), metavar="NAME")
    asked = parser.parse_args()
    nixpkgs = asked.nixpkgs.resolve()
    failed = []
    answer: multiprocessing.Queue[str] = multiprocessing.Queue()
    for name in asked.only or known:
        process = multiprocessing.Process(
            target=_measured, args=(name, nixpkgs, answer)
        )
        process.start()
        print(f"{name:18} {answer.get()}", flush=True)
        process.join()
        if process.exitcode != 0:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
