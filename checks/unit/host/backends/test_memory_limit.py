"""A process killed at its memory limit is distinguished from any other dead one."""

import os
from pathlib import Path

import pytest

from checks.kits.patience import PATIENCE_S
from pyglue.host.backends.limits import CgroupLimiter, Wanted, find_limiter
from pyglue.limits import MIB
from pyglue.process import run_sync

FILLS = "x = bytearray(200 * 1024 * 1024); print(len(x))"


@pytest.mark.parametrize(
    ("program", "killed"),
    [
        (["python3", "-c", FILLS], True),
        (["sh", "-c", "kill -9 $$"], False),
    ],
    ids=["memory", "killed"],
)
def test_the_kernel_says_what_killed_it(
    tmp_path: Path, program: list[str], killed: bool
) -> None:
    limiter = find_limiter(tmp_path)
    if not isinstance(limiter, CgroupLimiter):
        pytest.skip("no control groups here")
    prefix = limiter.wrap("bob", Wanted(50 * MIB, None))
    try:
        done = run_sync(
            [*prefix, *program], env={"PATH": os.environ["PATH"]}, timeout=PATIENCE_S
        )
        assert done.code != 0
        assert limiter.out_of_memory("bob") is killed
    finally:
        limiter.end("bob")
    assert not limiter.out_of_memory("bob")


def test_one_process_of_many_is_counted_while_the_others_go_on(tmp_path: Path) -> None:
    """As the CLI beside its harness: the group lives on, and the count says so."""
    limiter = find_limiter(tmp_path)
    if not isinstance(limiter, CgroupLimiter):
        pytest.skip("no control groups here")
    prefix = limiter.wrap("bob", Wanted(50 * MIB, None))
    code = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]) != -9)"
    words = ["python3", "-c", code, "python3", "-c", FILLS]
    try:
        assert limiter.memory_kills("bob") == 0
        done = run_sync(
            [*prefix, *words], env={"PATH": os.environ["PATH"]}, timeout=PATIENCE_S
        )
        assert done.code == 0, done.stderr
        assert limiter.memory_kills("bob") == 1
    finally:
        limiter.end("bob")
