"""Every program prints its version, without a configuration or a hive."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest

from pyglue import __version__

ROOT: Final = Path(__file__).resolve().parents[3]
SCRIPTS: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
    "scripts"
]


@pytest.mark.parametrize("program", SCRIPTS)
def test_every_program_says_its_version(program: str, tmp_path: Path) -> None:
    module, _, function = SCRIPTS[program].partition(":")
    code = f"import sys; from {module} import {function} as main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--version"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, __version__), done.stderr
