"""The host's requirements for NixOS containers, and messages about missing ones."""

import os
import shutil
from pathlib import Path
from typing import Final

from pyglue.config import HiveConfig, NixosConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.backends import mounts
from pyglue.host.backends.hostctl import PROGRAMS
from pyglue.paths import Layout
from pyglue.process import find_program

_STORE: Final = Path("/nix/store")


def required(config: HiveConfig) -> NixosConfig:
    """Return the backend's part of the configuration, if all requirements are met.

    Raises:
        HiveError: ``config_invalid``, ``missing_program``.
    """
    missing = None
    if os.geteuid() != 0:
        missing = "hived must be started as root"
    elif config.nixos is None:
        missing = "`nixos` must be configured"
    elif config.ids is None:
        missing = "`ids` must be configured"
    elif shutil.which("nixos-container") is None:
        missing = "`nixos-container` must be installed (boot.enableContainers = true)"
    if missing is not None or config.nixos is None:
        raise HiveError(
            ErrorCode.CONFIG_INVALID,
            f"The backend nixos-container cannot be used: {missing}. The NixOS module "
            "services.hyperhive takes care of this.",
        )
    for program in PROGRAMS:
        find_program(program)
    return config.nixos


def unmapped(layout: Layout) -> str | None:
    """Return a warning about file systems without ID-mapped mounts, or None."""
    return mounts.warning((_STORE, layout.agents, layout.runtime))


def undetected(problem: str | None) -> str | None:
    """Return a warning about a ``problem`` with systemd's events, or None."""
    if problem is None:
        return None
    return (
        "Container crashes cannot be detected: systemd does not answer over D-Bus. "
        f"{problem}"
    )


def set_user_id(layout: Layout) -> str | None:
    """Return a warning if agents' directories allow set-user-ID programs, or None."""
    if os.statvfs(layout.agents).f_flag & os.ST_NOSUID:
        return None
    return (
        f"{layout.agents} is not mounted nosuid: root in one container can leave a "
        "set-user-ID program for other containers there. Bind-mount it onto itself "
        "with nosuid and nodev, as the NixOS module does."
    )
