"""With too few open files, every program says so in one sentence and starts nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from checks.kits.patience import PATIENCE_S

PROGRAMS = {
    "hived": ("pyglue.host.main", "--config", "/nonexistent"),
    "hive-web": ("pyglue.web.main", "--config", "/nonexistent"),
    "hive-relay": ("pyglue.relay.main", "--config", "/nonexistent"),
    "hive-agent": ("pyglue.harness.main", "--run-dir", "/nonexistent"),
    "hive-mcp": ("pyglue.mcp.main", "--socket", "/nonexistent"),
    "hive": ("pyglue.cli.hive", "status"),
}


def started(files: int, module: str, *arguments: str) -> tuple[int, str]:
    command = ["prlimit", f"--nofile={files}", sys.executable, "-m", module]
    found = subprocess.run(
        [*command, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        cwd=Path(__file__).parents[3],
    )
    return found.returncode, found.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_too_few_open_files_are_said_in_a_sentence(program: str) -> None:
    code, said = started(24, *PROGRAMS[program])
    assert code == 1
    assert said.startswith(f"{program}: At most 24 files may be open at once, and 64")
    assert said.count("\n") == 1


@pytest.mark.parametrize("program", ["hived", "hive-web", "hive-relay"])
def test_enough_are_enough(program: str) -> None:
    code, said = started(64, *PROGRAMS[program])
    assert code == 1 and "files may be open" not in said
