"""Tests with other versions of our dependencies: ``pytest --pins=nixpkgs``.

The run is started anew by the interpreter of an environment with the versions of
``checks/pins/nixpkgs.txt``, which ``.ci/setup pins`` makes. Without a path it is the
unit tests and the end-to-end story of a change.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[3]
NEWEST: Final = "newest"
NIXPKGS: Final = "nixpkgs"
FILE: Final = ROOT / "checks" / "pins" / "nixpkgs.txt"
IN_USE: Final = "HIVE_TEST_PINS"
"""The variable that says which versions a run has."""

_PYTHON: Final = ROOT / ".venv" / "nixpkgs" / "bin" / "python"
_STORY: Final = ("checks/unit", "checks/e2e/test_change.py")


def read() -> dict[str, str]:
    """Return the version of each package."""
    lines = FILE.read_text().splitlines()
    pairs = [line.split("==", 1) for line in lines if line and not line.startswith("#")]
    return dict(pairs)


def add_option(parser: pytest.Parser) -> None:
    """Add ``--pins``."""
    parser.addoption(
        "--pins",
        choices=(NEWEST, NIXPKGS),
        default=NEWEST,
        help="with which versions of the dependencies: PyPI's newest or nixpkgs'",
    )


def start_anew(config: pytest.Config) -> None:
    """Become the same run with the versions that are asked for, unless it has them."""
    asked = config.getoption("--pins", NEWEST)
    if asked == NEWEST or os.environ.get(IN_USE) == asked:
        return
    subprocess.run([str(ROOT / ".ci" / "setup"), "pins"], check=True)
    words = list(config.invocation_params.args)
    if config.args_source is not config.ArgsSource.ARGS:
        words += _STORY
    os.environ[IN_USE] = asked
    sys.stdout.flush()
    os.execv(_PYTHON, [str(_PYTHON), "-m", "pytest", *words])  # noqa: S606
