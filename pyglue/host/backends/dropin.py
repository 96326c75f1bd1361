"""Limits of a container as a drop-in of its unit, which systemd holds it to.

Used by the ``nixos-container`` backend. The file lies in /run: it is written before
each start, and gone after a boot like the sockets are.

NixOS's start script works in the container's root directory as root of the host: it
makes directories there, sets their modes and touches files. A link that container root
left in their place would lead it anywhere, so systemd does not start a container that
has one, also when it restarts it by itself.
"""

from pathlib import Path
from typing import Final

from pyglue.host.backends.files import write_file

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

    Bytes, and percent of one core; None is no limit. With a ``network`` it runs while
    the rules stand that keep it from this host and its neighbours, and not without.
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
    """Put a unit's drop-in in place; tell whether systemd has to read it again."""
    directory = units / f"{unit}.d"
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    directory.chmod(0o755)
    return write_file(directory / _NAME, content.encode())


def remove(units: Path, unit: str) -> bool:
    """Take a unit's drop-in away; tell whether there was one."""
    directory = units / f"{unit}.d"
    try:
        (directory / _NAME).unlink()
        directory.rmdir()
    except OSError:
        return False
    return True
