"""What cannot run is said, and fails where everything must run."""

import sys
from pathlib import Path

import pytest

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
        timeout=60,
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
