"""A process and its descendants: which are alive, and their memory."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from pyglue.process.family import Family

PARENT = """
import os, subprocess, sys
held = bytearray(b"x" * (8 << 20))
child = subprocess.Popen(["sleep", "600"])
print(child.pid, flush=True)
sys.stdin.readline()
child.kill()
if sys.argv[1:]:
    child.wait()
else:
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
print("done", flush=True)
sys.stdin.readline()
"""


@pytest.fixture(params=["a zombie", "reaped"])
def parent(request: pytest.FixtureRequest) -> "Iterator[subprocess.Popen[str]]":
    more = ["wait"] if request.param == "reaped" else []
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def test_it_lives_as_long_as_all_of_it(parent: "subprocess.Popen[str]") -> None:
    assert parent.stdin is not None and parent.stdout is not None
    child = int(parent.stdout.readline())
    found = Family.of(parent.pid)
    assert [pid for pid, _ in found.members] == [parent.pid, child]
    assert found.lives()
    assert 8 << 20 < found.bytes_own() < 64 << 20
    parent.stdin.write("\n")
    parent.stdin.flush()
    assert parent.stdout.readline() == "done\n"
    assert not found.lives()


def test_a_number_that_was_used_again_is_another_process() -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        found = Family.of(process.pid)
        (pid, began), *_ = found.members
        assert found.lives()
        assert not Family(((pid, began + 1),)).lives()
        process.kill()


def test_none_there_is_no_family() -> None:
    found = Family.of(2**22 + 1)
    assert found.members == ()
    assert found.bytes_own() == 0
