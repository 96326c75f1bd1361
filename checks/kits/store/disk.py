"""A small disk of its own (tmpfs, as root), and ways to fill it up."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

MIB = 1024 * 1024
_EATER = """
import sys, time
while True:
    try:
        with open(sys.argv[1], "ab", buffering=0) as into:
            while True:
                into.write(bytes(1 << 20))
    except OSError:
        time.sleep(0.002)  # else it would eat a processor, too
"""


@contextlib.contextmanager
def small_disk(
    at: Path, mib: int, *, files: int = 0, read_only: bool = False
) -> Iterator[Path]:
    """Mount a file system of ``mib`` MiB at the directory ``at``."""
    at.mkdir(parents=True, exist_ok=True)
    options = f"size={mib}M,mode=0755" + (f",nr_inodes={files}" if files else "")
    options += ",ro" if read_only else ""
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "hive-test", str(at)], check=True
    )
    try:
        yield at
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


def fill(file: Path) -> None:
    """Write ``file`` until the disk takes no more."""
    with file.open("ab", buffering=0) as into, contextlib.suppress(OSError):
        while True:
            into.write(b"x" * 65536)
    with file.open("ab", buffering=0) as into, contextlib.suppress(OSError):
        while True:
            into.write(b"x" * 512)


def free(at: Path) -> int:
    """Return the bytes that are free at ``at``."""
    found = os.statvfs(at)
    return found.f_bavail * found.f_frsize


@contextlib.contextmanager
def filling(file: Path) -> Iterator[None]:
    """Fill the disk, and take again at once whatever becomes free."""
    fill(file)
    eater = subprocess.Popen([sys.executable, "-I", "-S", "-c", _EATER, str(file)])
    try:
        yield
    finally:
        eater.kill()
        eater.wait()
        file.unlink()
