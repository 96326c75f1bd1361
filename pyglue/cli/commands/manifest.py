"""``hive manifest DIR``: evaluate an agent's directory, without a running hive.

Runs the same evaluator and checks as a proposal, so authors see every error before
they submit. Prints the manifest, or everything known with ``--json``; problems go to
stderr as ``file:line:column: message`` with exit code 1.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from pyglue.config import load
from pyglue.errors import ErrorCode, HiveError
from pyglue.manifest import proposal_checks, schema
from pyglue.models.catalogue import KNOWN, Catalogue
from pyglue.nix import EvalError, Evaluation, Evaluator


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own arguments; every command has ``--json``."""
    parser.add_argument(
        "directory", metavar="DIR", type=Path, help="directory that contains agent.nix"
    )
    parser.add_argument(
        "--nixpkgs-lib",
        metavar="PATH",
        type=Path,
        help="evaluate with this copy of nixpkgs' lib instead of the built-in subset",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="configuration file of the hive, for the models that it adds",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the manifest of ``DIR`` and return the exit code.

    Raises:
        HiveError: something is wrong with this computer, not with the agent.
    """
    evaluator = Evaluator(nixpkgs_lib=arguments.nixpkgs_lib)
    try:
        found = asyncio.run(evaluator.evaluate(arguments.directory))
        manifest = schema.validate(found.manifest)
        proposal_checks.check(
            manifest,
            evaluated_at=found.evaluated_at,
            nixos_options=found.nixos_options,
            models=_models(arguments.config),
        )
    except EvalError as error:
        return _refuse(list(map(str, error.problems)) or [error.message])
    except HiveError as error:
        if error.code not in (ErrorCode.MANIFEST_INVALID, ErrorCode.TOO_LARGE):
            raise
        problems = error.details.get("problems", [])
        texts = [problem["message"] for problem in problems] or [error.message]
        return _refuse([f"agent.nix: {text}" for text in texts])
    notes = (*proposal_checks.notes(manifest), *found.printed)
    sys.stderr.writelines(f"note: {text}\n" for text in notes)
    _print(found, whole=arguments.json)
    return 0


def _models(config: Path | None) -> Catalogue:
    return KNOWN if config is None else load(config).catalogue


def _refuse(problems: list[str]) -> int:
    sys.stderr.writelines(f"{problem}\n" for problem in problems)
    return 1


def _print(found: Evaluation, *, whole: bool) -> None:
    """Print JSON in ASCII, so that nothing in it can move a terminal's cursor."""
    if whole:
        value: dict[str, Any] = {
            "manifest": found.manifest,
            "nixosOptions": found.nixos_options,
        }
        sys.stdout.write(json.dumps(value, sort_keys=True) + "\n")
    else:
        text = json.dumps(found.manifest, sort_keys=True, indent=2)
        sys.stdout.write(text + "\n")
