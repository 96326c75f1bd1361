"""Limits of a container as a drop-in of its unit, enforced by systemd.

Used by the ``nixos-container`` backend. The file is in /run: it is written before each
start, and disappears at a reboot, like the sockets.

NixOS's start script works in the container's root directory as root of the host: it
creates directories there, sets their modes and touches files. A link created there by
container root could redirect it anywhere, so systemd refuses to start (or restart) a
container that has one.
"""

from pathlib import Path
from typing import Final

from pyglue.files.replace import write_file

TASKS_MAX: Final = 4096
_NAME: Final = "50-hyperhive.conf"
_RULES: Final = "nftables.service"
_NO_LINKS: Final = (
    *("etc", "etc/machine-id", "root", "usr"),
    *("var", "var/lib", "var/lib/private"),
)


def text(
    root: Path, memory_max: int | None, cpu_quota: int | None, *, network: bool = False
) -> str:
    """Return the drop-in of the container in ``root``.

    The limits are in bytes and in percent of one core; None means no limit. With a
    ``network``, the container runs only while the firewall rules that isolate it from
    this host and its neighbours are active.
    """
    lines = ["# Written by hived.", "[Unit]"]
    lines += [f"AssertPathIsSymbolicLink=!{root}/{place}" for place in _NO_LINKS]
    if network:
        lines += [f"Requires={_RULES}", f"After={_RULES}"]
    lines += ["[Service]", f"TasksMax={TASKS_MAX}"]
    if memory_max is not None:
        lines += [f"MemoryMax={memory_max}", "MemorySwapMax=0"]
    if cpu_quota is not None:
        lines.append(f"CPUQuota={cpu_quota}%")
    return "\n".join([*lines, ""])


def write(units: Path, unit: str, content: str) -> bool:
    """Write a unit's drop-in; return whether systemd must reload."""
    directory = units / f"{unit}.d"
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    directory.chmod(0o755)
    return write_file(directory / _NAME, content.encode())


def remove(units: Path, unit: str) -> bool:
    """Remove a unit's drop-in; return whether there was one."""
    directory = units / f"{unit}.d"
    try:
        (directory / _NAME).unlink()
        directory.rmdir()
    except OSError:
        return False
    return True
