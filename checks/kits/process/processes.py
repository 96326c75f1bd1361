"""Processes below one of ours: other hives run beside a test, and are not its own."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")


def family(pid: int) -> Iterator[int]:
    """Give a process and its descendants; one that ends meanwhile has none."""
    yield pid
    for child in children(pid):
        yield from family(child)


def children(pid: int) -> list[int]:
    """Return the children of every thread of a process."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in (_PROC / str(pid) / "task").iterdir():
            with contextlib.suppress(OSError):
                found += map(int, (thread / "children").read_text().split())
    return found


def command(pid: int) -> list[str]:
    """Return a process's command line; empty if it has ended."""
    with contextlib.suppress(OSError):
        return (_PROC / str(pid) / "cmdline").read_text(errors="replace").split("\0")
    return []


def state(pid: int) -> str:
    """Return the letter of a process's state (``T``: stopped), or that it is gone."""
    with contextlib.suppress(OSError):
        text = (_PROC / str(pid) / "stat").read_text()
        return text.rpartition(")")[2].split()[0]
    return "gone"


def mounts(pid: int) -> str:
    """Return a process's mounts as the kernel tells them; empty if it has ended."""
    with contextlib.suppress(OSError):
        return (_PROC / str(pid) / "mountinfo").read_text()
    return ""


def open_below(place: Path) -> list[str]:
    """Return what this process has open at or below a place.

    Not a count of all descriptors: other tests' leftovers are closed at any time.
    """
    found: list[str] = []
    for entry in (_PROC / "self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            target = str(entry.readlink())
            if Path(target.removesuffix(" (deleted)")).is_relative_to(place):
                found.append(target)
    return found


def own_children() -> set[int]:
    """Return the children of this process."""
    return set(children(os.getpid()))
