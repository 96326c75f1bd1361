"""Detects file systems without support for ID-mapped mounts.

The host's store and the agent's directories are bound into a container with mapped
owners. Where the kernel cannot do that, no container starts, and systemd's error names
neither the file system nor a remedy.
"""

import os
import re
from pathlib import Path
from typing import Final

_UNMAPPED: Final = frozenset({"9p", "cifs", "nfs", "nfs4", "overlay"})
_TMPFS_SINCE: Final = (6, 3)
"""The first version of Linux with ID-mapped mounts of tmpfs, as /run is."""
_MOUNTS: Final = Path("/proc/self/mountinfo")
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


def kind(path: Path, mounts: Path = _MOUNTS) -> str:
    """Return the type of the file system of ``path``, "" if unknown."""
    real = os.path.realpath(path)
    found, longest = "", -1
    for line in mounts.read_text("utf-8", "surrogateescape").splitlines():
        before, _, after = line.partition(" - ")
        point = _ESCAPED.sub(lambda one: chr(int(one[1], 8)), before.split(" ")[4])
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= longest:  # the later of two at one path
            found, longest = after.split(" ")[0], len(point)
    return found


def warning(
    paths: tuple[Path, ...], mounts: Path = _MOUNTS, release: str | None = None
) -> str | None:
    """Return a warning about those of ``paths`` that containers cannot bind."""
    release = release or os.uname().release
    known = re.match(r"(\d+)\.(\d+)", release)
    old = known is not None and (int(known[1]), int(known[2])) < _TMPFS_SINCE
    kinds = {path: kind(path, mounts) for path in paths}
    if old and "tmpfs" in kinds.values():
        return (
            f"Containers cannot start: Linux {release} cannot map their users on "
            "tmpfs, which /run is. Use Linux 6.3 or later (boot.kernelPackages)."
        )
    wrong = [f"{path} ({found})" for path, found in kinds.items() if found in _UNMAPPED]
    if not wrong:
        return None
    return (
        "Containers cannot start: their users cannot be mapped on the file system of "
        f"{' and '.join(wrong)}. Use ext4, XFS, Btrfs, F2FS or ZFS; in a virtual "
        "machine, one with a disk of its own (nixos-rebuild build-vm-with-bootloader)."
    )
