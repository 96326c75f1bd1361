"""Orphaned processes are ended, and a failure to do so is reported."""

import subprocess
import sys
from pathlib import Path

import pytest

from pyglue.host.backends import orphans
from pyglue.host.backends.orphans import Orphan

_AS_NOBODY = """
import os, sys
from pyglue.errors import HiveError
from pyglue.host.backends.orphans import Orphan, end
os.setuid(65534)
try:
    end(Orphan(int(sys.argv[1]), sys.argv[2], "alice"))
except HiveError as error:
    print(error.code, error.message)
"""


def started(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def test_one_is_dead_when_it_was_ended() -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        orphans.end(Orphan(process.pid, started(process.pid), "alice"))
        assert process.poll() == -9
        orphans.end(Orphan(process.pid, "1", "alice"))  # again is no error


def test_a_later_process_of_that_number_lives() -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        orphans.end(Orphan(process.pid, "1", "alice"))
        assert process.poll() is None
        process.kill()


@pytest.mark.needs("root")
def test_it_is_said_that_one_is_another_users() -> None:
    words = (sys.executable, "-c", _AS_NOBODY, "1", started(1))
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert said == "unavailable Could not kill process 1: it belongs to another user.\n"
