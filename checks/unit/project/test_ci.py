"""``.ci/run`` and failures, in a small project: real make and pytest."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[3]
PLAIN: Final = {
    "PYTHONPATH": str(ROOT),
    "PYTEST_ADDOPTS": "",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # to load them all takes the longest
}
MAKEFILE: Final = """\
test:
\t@.venv/bin/python -m pytest -q
test-pins test-nix-bookworm test-nix-trixie test-nix-testing:
\t@true
"""
CONFTEST: Final = "from checks.kits.suite.ended import pytest_sessionfinish\n"
SECOND_TIME: Final = """\
from pathlib import Path

def test_a():
    seen = Path("seen")
    before = seen.exists()
    seen.touch()
    assert before
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a project that has our ``.ci/run``."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", tmp_path / ".ci/run")
    (tmp_path / ".venv/bin").mkdir(parents=True)
    python = tmp_path / ".venv/bin/python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (tmp_path / "Makefile").write_text(MAKEFILE)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


def run(project: Path, tests: str) -> tuple[bool, str]:
    """Return whether it is green, and all that it says."""
    (project / "test_it.py").write_text(tests)
    made = subprocess.run(
        [str(project / ".ci/run")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **PLAIN},
    )
    return made.returncode == 0, made.stdout + made.stderr


def test_what_passes_is_green(project: Path) -> None:
    green, said = run(project, "def test_a(): pass")
    assert green and "FLAKY" not in said


def test_what_passes_alone_is_green_and_named(project: Path) -> None:
    green, said = run(project, SECOND_TIME)
    assert green, said
    assert "FLAKY" in said and "test_it.py::test_a" in said


@pytest.mark.parametrize(
    "tests",
    [
        "def test_a(): assert False",
        SECOND_TIME.replace("test_a", "test_z") + "def test_a(): assert False",
    ],
    ids=["one", "one-of-two"],
)
def test_what_fails_again_is_red(project: Path, tests: str) -> None:
    green, _ = run(project, tests)
    assert not green


def test_what_needs_an_earlier_test_of_its_file_passes_with_it(project: Path) -> None:
    needs = SECOND_TIME.replace("assert before", "assert made and before")
    tests = f"made = []\n\ndef test_0():\n    made.append(1)\n\n{needs}"
    green, said = run(project, tests)
    assert green, said


def many(count: int) -> str:
    tests = "".join(SECOND_TIME.replace("test_a", f"test_{n}") for n in range(count))
    name = "__file__ + __import__('sys')._getframe().f_code.co_name"
    return tests.replace('"seen"', name)


def test_many_failures_of_three_files_are_run_again(project: Path) -> None:
    for number in range(2):
        (project / f"test_more_{number}.py").write_text(many(2))
    green, said = run(project, many(5))
    assert green, said
    assert "failures in 3 files: once more" in said
    assert "test_more_1.py::test_1" in said and "test_it.py::test_4" in said


def test_failures_of_more_files_are_not_run_again(project: Path) -> None:
    for number in range(3):
        (project / f"test_more_{number}.py").write_text(many(1))
    green, said = run(project, many(1))
    assert not green and "once more" not in said


@pytest.mark.parametrize(
    "end",
    ["raise KeyboardInterrupt", "import os; os._exit(3)"],
    ids=["interrupted", "died"],
)
def test_a_run_that_was_cut_short_is_red(project: Path, end: str) -> None:
    """Whatever failed before passes alone: of the rest nothing is known."""
    green, said = run(project, f"{SECOND_TIME}def test_b():\n    {end}\n")
    assert not green and "once more" not in said


def test_tests_that_cannot_be_read_are_red(project: Path) -> None:
    green, _ = run(project, "def test_a(: pass")
    assert not green
