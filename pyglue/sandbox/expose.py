"""Make directories below a closed one reachable for another user, in a mount namespace.

Run by path, as root, before privileges are dropped: ``python -I -S expose.py PLAN
PROGRAM ARGUMENTS...``. It imports nothing of this package, so it starts in 15 ms. It is
needed if a checkout, an interpreter or a state directory is below a home that others
may not enter, such as /root: bubblewrap, like any program, walks the path of a bind as
its own user. Each closed directory is covered by an empty one, in which only the
requested places appear, at their own paths. The host sees none of this.

PLAN is JSON: ``{"closed": [path...], "shown": [[path, descriptor or null]...]}``. A
descriptor names the file to show, whatever is at the path by now.
"""

import ctypes
import json
import os
import stat
import sys
from pathlib import Path
from typing import Final

_CLONE_NEWNS: Final = 0x00020000
_MS_NOSUID: Final = 2
_MS_NODEV: Final = 4
_MS_BIND: Final = 4096
_MS_REC: Final = 16384
_MS_SLAVE: Final = 1 << 19


def expose(closed: list[str], shown: list[tuple[str, int | None]]) -> None:
    """Cover ``closed`` and show ``shown`` in a new mount namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) != 0:
        sys.exit(
            f"{closed[0]} is closed to other users, and here root may not work around "
            "that. Move the hive (to /opt, say), or `chmod o+x` that directory."
        )
    _mount(libc, "none", "/", None, _MS_REC | _MS_SLAVE, "")
    # Reopened, because descriptors from outside belong to the host's mounts.
    sources = [_open(path, given) for path, given in shown]
    for path in closed:
        _mount(libc, "hive", path, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755")
    for (path, given), source in zip(shown, sources, strict=True):
        _place(path, directory=stat.S_ISDIR(os.fstat(source).st_mode))
        _mount(libc, f"/proc/self/fd/{source}", path, None, _MS_BIND | _MS_REC, "")
        os.close(source)
        if given is not None:
            mounted = os.open(path, os.O_PATH)
            os.dup2(mounted, given)
            os.close(mounted)


def _open(path: str, given: int | None) -> int:
    """Open ``path`` without following links; it must be the same file as ``given``."""
    descriptor = os.open("/", os.O_PATH)
    for part in path.strip("/").split("/"):
        inner = os.open(part, os.O_PATH | os.O_NOFOLLOW, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    found = os.fstat(descriptor)
    wanted = found if given is None else os.fstat(given)
    same = (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino)
    if not same or stat.S_ISLNK(found.st_mode):
        sys.exit(f"{path} was replaced while it was about to be shown")
    return descriptor


def _place(path: str, *, directory: bool) -> None:
    """Create the mount point, unless an outer place already shows it."""
    place = Path(path)
    if os.path.lexists(path):
        return
    if directory:
        place.mkdir(0o755, parents=True)
    else:
        place.parent.mkdir(0o755, parents=True, exist_ok=True)
        place.touch(0o644)


def _mount(
    libc: ctypes.CDLL, source: str, target: str, kind: str | None, flags: int, data: str
) -> None:
    type_ = None if kind is None else kind.encode()
    code = libc.mount(
        os.fsencode(source), os.fsencode(target), type_, flags, data.encode()
    )
    _check(code, f"a mount at {target}")


def _check(code: int, what: str) -> None:
    if code != 0:
        error = os.strerror(ctypes.get_errno())
        sys.exit(f"{what} could not be made: {error}")


if __name__ == "__main__":
    plan = json.loads(sys.argv[1])
    expose(plan["closed"], plan["shown"])
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 (an argument list, no shell)
