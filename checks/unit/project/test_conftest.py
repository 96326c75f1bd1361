"""Tests that cannot run are reported, and fail where everything must run."""

import sys
from pathlib import Path

import pytest

from checks.kits.patience import PATIENCE_S
from checks.kits.suite.schedule import ordered, unit_of, workers
from pyglue.process import Completed, run_sync

CHECKOUT = Path(__file__).resolve().parents[3]
PLAIN = {"PATH": "/usr/bin:/bin", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""No plugin is needed, and loading them all takes the longest."""
SUITE = """
import pytest

def test_runs(): pass

@pytest.mark.skipif(True, reason="no such machine")
def test_cannot(): raise AssertionError

@pytest.mark.xfail(reason="known")
def test_known(): raise AssertionError
"""


def suite(room: Path, text: str, **env: str) -> Completed:
    (room / "test_some.py").write_text(text)
    pytest = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    return run_sync(
        [*pytest, "-p", "checks.conftest", "--strict-markers", "test_some.py"],
        env={**PLAIN, "PYTHONPATH": str(CHECKOUT), **env},
        cwd=room,
        timeout=PATIENCE_S,
    )


def test_not_run_is_listed(tmp_path: Path) -> None:
    done = suite(tmp_path, SUITE)
    assert done.code == 0
    assert b"NOT RUN" in done.stdout
    assert b"1 test: no such machine" in done.stdout


def test_not_run_fails_where_all_must(tmp_path: Path) -> None:
    done = suite(tmp_path, SUITE, HIVE_TEST_REQUIRE="all")
    assert done.code == 1
    assert b"It must run here, but: no such machine" in done.stdout
    assert b"1 passed, 1 xfailed, 1 error" in done.stdout


@pytest.mark.parametrize("need", ["git", "moon"])
def test_needs(tmp_path: Path, need: str) -> None:
    text = f"import pytest\n@pytest.mark.needs({need!r})\ndef test_x(): pass\n"
    done = suite(tmp_path, text)
    if need == "git":
        assert done.code == 0, done.stdout
    else:
        assert done.code == 1
        assert b"unknown need 'moon'" in done.stdout


EXAMPLES = """
from hypothesis import settings

def test_examples():
    known = settings.default
    print("the same" if known.derandomize else "new ones", known.deadline)
    assert False
"""


@pytest.mark.parametrize(
    ("require", "expected"), [("all", "the same"), ("", "new ones")]
)
def test_ci_takes_the_same_examples_at_every_run(
    tmp_path: Path, require: str, expected: str
) -> None:
    done = suite(tmp_path, EXAMPLES, HIVE_TEST_REQUIRE=require)
    assert f"{expected} None".encode() in done.stdout


def test_what_takes_longest_comes_first_and_the_browser_last() -> None:
    files = {
        "checks/browser/test_b.py": 900.0,
        "checks/e2e/test_e.py": 30.0,
        "checks/systemd/test_s.py": 20.0,
        "checks/systemd/test_t.py": 20.0,
        "checks/unit/web/test_u.py": 1.0,
    }
    asked = [
        f"{file}::test_{n}[a::b]"
        for file in (*files, "checks/nix/test_new.py")
        for n in "xy"
    ]
    assert ordered(asked, files) == [
        "systemd",  # one unit of 40 s, so that one worker boots its host
        "checks/e2e/test_e.py",
        "checks/nix/test_new.py",
        "checks/unit/web/test_u.py",
        "checks/browser/test_b.py",
    ]
    assert {unit_of(one) for one in asked} == set(ordered(asked, files))


PARALLEL = """
import os, pytest

@pytest.mark.parametrize("n", range(20))
def test_one_process_has_a_whole_file(n):
    with open("processes", "a") as file:
        file.write(f"{os.getpid()} {__file__}\\n")
"""


def test_a_file_is_not_divided(tmp_path: Path) -> None:
    for name in ("test_one.py", "test_two.py", "test_three.py"):
        (tmp_path / name).write_text(PARALLEL)
    pytest = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "2"]
    done = run_sync(
        [*pytest, "-p", "xdist.plugin", "-p", "checks.conftest"],
        env={**PLAIN, "PYTHONPATH": str(CHECKOUT)},
        cwd=tmp_path,
        timeout=PATIENCE_S,
    )
    assert done.code == 0, done.stdout
    lines = (tmp_path / "processes").read_text().splitlines()
    assert len(lines) == 60
    assert len(set(lines)) == 3


@pytest.mark.parametrize(("cores", "processes"), [(1, 2), (2, 4), (8, 16)])
def test_there_are_more_processes_than_cores(cores: int, processes: int) -> None:
    assert workers(cores) == processes


INTERRUPTED = """
import signal, subprocess

def test_what_is_interrupted_ends():
    child = subprocess.Popen(["sleep", "60"])
    child.send_signal(signal.SIGINT)
    assert child.wait(50) == -signal.SIGINT
"""


@pytest.mark.parametrize("workers", [(), ("-p", "xdist.plugin", "-n", "2")])
def test_started_in_the_background(tmp_path: Path, workers: tuple[str, ...]) -> None:
    (tmp_path / "test_some.py").write_text(INTERRUPTED)
    pytest = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *workers)
    done = run_sync(
        [
            "sh",
            "-c",
            "trap '' INT; exec \"$@\"",
            "sh",
            *pytest,
            "-p",
            "checks.conftest",
        ],
        env={**PLAIN, "PYTHONPATH": str(CHECKOUT)},
        cwd=tmp_path,
        timeout=PATIENCE_S,
    )
    assert done.code == 0, done.stdout
