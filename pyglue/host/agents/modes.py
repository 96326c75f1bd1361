"""The owners and modes of the hive's directories.

Other users of the machine can read, execute or connect to nothing of a hive. In local
mode as root, agents reach their files by path, so one group may traverse the parent
directories. Containers get bind mounts made by root instead, so nobody needs to
traverse: a set-user-id file left by a container's root would work on the host.
``directories`` sets the modes, doctor checks them.
"""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyglue.config import HiveConfig
from pyglue.errors import HiveError
from pyglue.files.directory import Folder, Owner
from pyglue.files.nofollow import opened
from pyglue.host.backends.owners import Owners

UNMAPPED_UID: Final = 2147483632
"""A uid outside every range that container users are mapped to."""


@dataclass(frozen=True)
class Mode:
    """Mode and owner of a directory; without an owner: hived's own user.

    ``runtime``: it is in the runtime directory, not in the state directory.
    """

    mode: int
    owner: Owner | None = None
    runtime: bool = False

    def __str__(self) -> str:
        owner = "" if self.owner is None else ", user {}, group {}".format(*self.owner)
        return f"mode {self.mode:04o}{owner}"

    def set(self, folder: Folder) -> None:
        """Apply owner and mode to a directory."""
        folder.give(self.owner)
        folder.set_mode(self.mode)

    def holds(self, found: os.stat_result) -> bool:
        """Return whether a directory has this owner and mode."""
        owner = (found.st_uid, found.st_gid)
        return stat.S_IMODE(found.st_mode) == self.mode and self.owner in (None, owner)


class Modes:
    """The modes of every directory of a hive."""

    def __init__(
        self, config: HiveConfig, owners: Owners, *, agents_pass: bool
    ) -> None:
        self._layout = config.layout
        self._owners = owners
        ids = config.ids
        self._root = ids is not None
        self._notify = self._of_notify(config)
        self._group: int | None = None
        """The group that may traverse them; None: nobody needs to."""
        if ids is not None and agents_pass:
            self._group = ids.agent if ids.group is None else ids.group

    def own(self) -> dict[Path, Mode]:
        """Return the hive's own directories, outer ones first."""
        layout, group = self._layout, self._group
        manager = self._owners.manager
        applied = Mode(0o755)
        if manager is not None and group is not None:
            applied = Mode(0o750, (0, manager[1]))
        return {
            layout.state: self._passage(group),
            layout.state / "private": self._passage(group),
            layout.state / "agents": self.nobodys(),
            layout.applied_root: applied,
            layout.shared: Mode(0o755, manager),
            layout.runtime: self._passage(group, open_to=0o755, runtime=True),
            layout.runtime / "agents": self._passage(
                group, open_to=0o700 if self._root else 0o755, runtime=True
            ),
            **self._notify,
        }

    @staticmethod
    def _of_notify(config: HiveConfig) -> dict[Path, Mode]:
        """Return the directory of hive-notify's socket, if notifications are on."""
        if not config.notify.is_on:
            return {}
        user = None if config.ids is None else config.ids.notify
        owner = None if user is None else (user, user)
        return {config.layout.notify_socket.parent: Mode(0o700, owner, runtime=True)}

    def all(self, names: Iterable[str]) -> dict[Path, Mode]:
        """Return the hive's own directories and those of these agents."""
        layout, found = self._layout, self.own()
        for name in names:
            found[layout.state / "agents" / name] = self.nobodys()
            found[layout.private(name)] = self.private(name)
            found[layout.run(name)] = self.run(name)
        return found

    def wrong(self, names: Iterable[str]) -> dict[Path, str]:
        """Return the directories with wrong owners or modes, and the actual ones."""
        found = {}
        for place, wanted in self.all(names).items():
            with suppress(HiveError), opened(self._top(wanted), place) as folder:
                if folder is not None and not wanted.holds(folder.status):
                    found[place] = _describe(folder.status)
        return found

    def repair(self, names: Iterable[str]) -> None:
        """Repair the owners and modes."""
        for place, wanted in self.all(names).items():
            with suppress(HiveError), opened(self._top(wanted), place) as folder:
                if folder is not None:
                    wanted.set(folder)

    def _top(self, wanted: Mode) -> Path:
        return self._layout.runtime if wanted.runtime else self._layout.state

    def nobodys(self) -> Mode:
        """Return the mode of ``agents/`` and its entries; no container user owns it."""
        if not self._root:
            return Mode(0o755)
        if self._group is None:
            return Mode(0o755, (UNMAPPED_UID, UNMAPPED_UID))
        return Mode(0o750, (UNMAPPED_UID, self._group))

    def private(self, name: str) -> Mode:
        """Return the mode of the hive's private directory of an agent."""
        owner = self._owners.of(name)
        return self._passage(None if owner is None else owner[1])

    def run(self, name: str) -> Mode:
        """Return the mode of the directory of an agent's sockets."""
        owner = self._owners.of(name)
        if owner is None or self._group is None:
            return Mode(0o755, runtime=True)  # its parent is closed to others
        return Mode(0o750, (0, owner[1]), runtime=True)

    def _passage(
        self, group: int | None, *, open_to: int = 0o700, runtime: bool = False
    ) -> Mode:
        """Let ``group`` traverse but not list; without a group use ``open_to``."""
        if group is None or self._group is None:
            return Mode(open_to, runtime=runtime)
        return Mode(0o710, (0, group), runtime=runtime)


def _describe(found: os.stat_result) -> str:
    mode = stat.S_IMODE(found.st_mode)
    return f"mode {mode:04o}, user {found.st_uid}, group {found.st_gid}"
