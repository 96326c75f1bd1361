"""Writes and reads a container's conf file, ``/etc/nixos-containers/NAME.conf``.

Used by the ``nixos-container`` backend, which replaces the whole file: the one of
``create`` would give every container a network. NixOS's start script expands
``EXTRA_NSPAWN_FLAGS`` unquoted, so the file contains nothing chosen by an agent: names
are checked on arrival, the system is a store path, and configured directories are
refused if a shell or nspawn would read more than a path.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from pyglue.errors import ErrorCode, HiveError
from pyglue.nix.hoststore import check_path

_PLAIN: Final = re.compile(r"/[A-Za-z0-9_./+-]*")
_SETTING: Final = re.compile(r"^([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)
_MARK: Final = "# Written by hived for the hive in "
_SIZE_MAX: Final = 64 * 1024
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,9}")
_RANGE: Final = 65536
_LAST: Final = 32766 * _RANGE
"""Below the range of ``modes.UNMAPPED_UID``, which containers must not use."""

_HIDDEN: Final = ("/nix/var/nix/profiles", "/nix/var/nix/gcroots")
"""NixOS's unit binds these read-write. The host's own ``nix-env`` works in them as
root, so a link created by container root could redirect it anywhere; and the container
could choose the next system. SYSTEM_PATH determines it instead."""
_CLOSED: Final = ("/nix/var/nix/daemon-socket", "/nix/var/nix/db")
"""Containers build nothing, and the daemon would trust them too much."""


class Owners(StrEnum):
    """The owners of a directory's files in the container; nspawn's option values."""

    SAME = "idmap"
    """The same IDs inside; so container root is root there."""
    OWNER = "owneridmap"
    """Files of the directory's owner belong to the owner of the mount point inside; all
    others, including root's, belong to nobody (systemd 254)."""
    NONE = "noidmap"
    """All files belong to nobody: only permissions for others apply."""


@dataclass(frozen=True, kw_only=True)
class IdmapBind:
    """A directory of the host in the container."""

    source: Path
    target: str
    writable: bool = False
    owners: Owners = Owners.SAME


@dataclass(frozen=True)
class Pair:
    """The two ends of a container's network."""

    host: str
    local: str


@dataclass(frozen=True, kw_only=True)
class Conf:
    """The settings of the start script. ``hive`` is the state directory, as a mark."""

    hive: Path
    system: str
    private_users: str
    binds: tuple[IdmapBind, ...]
    network: Pair | None = None

    def text(self) -> str:
        """Return the file's text.

        Raises:
            HiveError: ``config_invalid`` for a path that is not allowed in it.
        """
        settings = [
            ("PRIVATE_NETWORK", "1"),
            ("PRIVATE_USERS", self.private_users),
            ("AUTO_START", "0"),
            ("SYSTEM_PATH", check_path(self.system)),
            # Always set: the start script reads it and stops at unset variables.
            ("COPY_RESOLV_CONF", "0"),
        ]
        if self.network is not None:
            settings += [
                ("HOST_ADDRESS", self.network.host),
                ("LOCAL_ADDRESS", self.network.local),
            ]
        flags = " ".join([*map(_bind, self.binds), *_fences()])
        lines = [f"{_MARK}{plain(self.hive)}"]
        lines += [f"{name}={value}" for name, value in settings]
        return "\n".join([*lines, f'EXTRA_NSPAWN_FLAGS="{flags}"', ""])


def _bind(bind: IdmapBind) -> str:
    flag = "--bind" if bind.writable else "--bind-ro"
    return f"{flag}={plain(bind.source)}:{bind.target}:{bind.owners}"


def _fences() -> Iterable[str]:
    # nspawn mounts these after binds of the same place.
    yield from (f"--tmpfs={place}:mode=0755,size=1m" for place in _HIDDEN)
    yield from (f"--inaccessible={place}" for place in _CLOSED)


def plain(path: Path) -> str:
    """Return a path whose text has no special meaning for the start script.

    Raises:
        HiveError: ``config_invalid``.
    """
    text = str(path)
    if _PLAIN.fullmatch(text) is None:
        raise HiveError(
            ErrorCode.CONFIG_INVALID,
            f"Invalid directory {text!a}: the start script of containers accepts only "
            "letters, digits and _ . / + -. Configure another directory.",
        )
    return text


def check_private_users(value: str) -> str:
    """Return ``value`` if it gives containers their own users.

    Raises:
        HiveError: ``config_invalid``.
    """
    if value == "pick":
        return value
    first = int(value) if _NUMBER.fullmatch(value) else 0
    if first % _RANGE or not 0 < first <= _LAST:
        raise HiveError(
            ErrorCode.CONFIG_INVALID,
            f'Invalid nixos.private_users {value[:40]!a}: use "pick", or the first '
            f"of {_RANGE} user IDs, a multiple of {_RANGE} and at most {_LAST}. "
            "Without users of its own, a container's root is root on the host.",
        )
    return value


@dataclass(frozen=True)
class Found:
    """An existing conf file. ``text`` is None if it cannot be read as text."""

    container: str
    text: str | None

    def get(self, name: str) -> str | None:
        """Return the value of a setting, None if it is missing."""
        for key, value in _SETTING.findall(self.text or ""):
            if key == name:
                return str(value)
        return None

    def made_by(self, hive: Path) -> bool:
        """Return whether the hive in ``hive`` wrote it."""
        return (self.text or "").startswith(f"{_MARK}{hive}\n")


def read(directory: Path, container: str) -> Found | None:
    """Return a container's conf file, None if there is none."""
    path = directory / f"{container}.conf"
    try:
        with path.open("rb") as file:
            data = file.read(_SIZE_MAX + 1)
        return Found(container, data.decode() if len(data) <= _SIZE_MAX else None)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        return Found(container, None)


def read_all(directory: Path) -> tuple[Found, ...]:
    """Return every container's conf file."""
    found = (read(directory, path.stem) for path in sorted(directory.glob("*.conf")))
    return tuple(conf for conf in found if conf is not None)
