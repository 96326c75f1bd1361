"""The Debian tree that the test host boots, built once and cached.

``tree(say)`` returns its directory; ``python -m checks.systemd.tree`` makes it ahead.
It is this machine's own release, so that the checkout's ``.venv`` runs in it as it
does here. It lies below ``HIVE_TEST_CACHE`` (default ``~/.cache/hyperhive``) under a
name made of everything that went into it, and appears there by one rename: what an
interrupted run left is removed by the next. A host boots on an overlay, so that no
run changes it.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

Say = Callable[[str], None]

PACKAGES: Final = (
    "bubblewrap",
    "ca-certificates",
    "dbus",
    "git",
    "iproute2",
    "libdbi-perl",  # nix-bin's, under a name that debootstrap does not resolve
    "libpam-systemd",
    "nftables",
    "nix-bin",
    "procps",
    "python3",
    "systemd",
    "systemd-container",
    "systemd-sysv",
    "util-linux",
)
_FORMAT: Final = "1"
"""Raise it when what ``_finish`` does changes."""
_DISK: Final = "disk-"
_DONE: Final = "debian-"
_HALF: Final = ".making-"
_GONE: Final = ("var/lib/dbus/machine-id", "etc/hostname", "etc/resolv.conf")
_FETCHED: Final = ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc")
_LAST_LINES: Final = 15
_PHASES: Final = (
    "I: Retrieving base-files",
    "I: Installing core",
    "I: Unpacking required",
    "I: Configuring required",
    "I: Unpacking the base",
    "I: Configuring the base",
)


def suite() -> str | None:
    """Return the code name of this machine's Debian (or kin), None if it is none."""
    try:
        text = Path("/etc/os-release").read_text()
    except OSError:
        return None
    found = re.search(r'^VERSION_CODENAME="?([a-z]+)"?$', text, re.MULTILINE)
    return found[1] if found else None


def mirror() -> str | None:
    """Return where apt gets the packages of this release from."""
    wanted = suite()
    places = [Path("/etc/apt/sources.list")]
    places += sorted(Path("/etc/apt/sources.list.d").glob("*"))
    for place in places:
        if place.suffix not in (".list", ".sources") or not place.is_file():
            continue
        text = place.read_text()
        lines = rf"^deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+{wanted}\s"
        stanza = rf"^URIs:\s*(\S+)[^\n]*\n(?:[^\n]+\n)*?Suites:[^\n]*\b{wanted}(?:\s|$)"
        found = re.search(lines, text, re.MULTILINE) or re.search(
            stanza, text, re.MULTILINE
        )
        if found:
            return found[1]
    return None


def cache() -> Path:
    """Return the directory for trees and the disks of hosts, made if need be."""
    asked = os.environ.get("HIVE_TEST_CACHE") or "~/.cache/hyperhive"
    place = Path(asked).expanduser().resolve()
    place.mkdir(parents=True, exist_ok=True)
    return place


@contextlib.contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Keep other test processes from making and clearing up meanwhile."""
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def disk() -> Iterator[Path]:
    """Give a directory for a host's disk, on the cache's own file system."""
    place = cache()
    with _alone(place):
        for left in place.glob(f"{_DISK}*"):
            if not Path("/proc", left.name.split("-")[1]).exists():
                shutil.rmtree(left)
    room = Path(tempfile.mkdtemp(prefix=f"{_DISK}{os.getpid()}-", dir=place))
    try:
        yield room
    finally:
        shutil.rmtree(room)


def tree(say: Say) -> Path:
    """Return the tree, made if it is not there; takes a minute or two then.

    Raises:
        RuntimeError: debootstrap failed; the end of what it said.
    """
    place = cache()
    release, source = suite(), mirror()
    assert release is not None
    assert source is not None
    inputs = "\n".join((_FORMAT, release, source, *PACKAGES))
    name = f"{release}-{hashlib.sha256(inputs.encode()).hexdigest()[:16]}"
    done, half = place / f"{_DONE}{name}", place / f"{_HALF}{name}"
    with _alone(place):
        if not done.is_dir():
            for left in (*place.glob(f"{_HALF}*"), *place.glob(f"{_DONE}{release}-*")):
                shutil.rmtree(left)
            _make(half, release, source, say)
            half.rename(done)
    return done


def _make(root: Path, release: str, source: str, say: Say) -> None:
    began = time.monotonic()
    say(f"making a Debian {release} for the tests of systemd (once; 1 to 2 minutes)")
    argv = ("debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}")
    process = subprocess.Popen(
        (*argv, release, str(root), source),
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if line.startswith(_PHASES):
            say(f"  {line[3:].rstrip().lower()}")
    if process.wait() != 0:
        raise RuntimeError("debootstrap failed:\n" + "\n".join(lines[-_LAST_LINES:]))
    _finish(root)
    say(f"  done in {time.monotonic() - began:.0f} s")


def _finish(root: Path) -> None:
    """Leave no identity and nothing to fetch in it, and let everyone pass."""
    for name in _GONE:
        (root / name).unlink(missing_ok=True)
    (root / "etc/machine-id").write_text("")
    for name in _FETCHED:
        shutil.rmtree(root / name, ignore_errors=True)
    (root / "root").chmod(0o755)  # a checkout may lie below it


if __name__ == "__main__":
    print(tree(lambda text: print(text, file=sys.stderr)))
