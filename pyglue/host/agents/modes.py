"""The owners and modes of the hive's directories.

Nothing of a hive is readable, executable or connectable by others on the machine. Where
agents are reached by paths (local mode as root), one group passes through to what
belongs to each. Where containers get binds that root made, nobody has to pass: a
set-user-id file that a container's root left would be the host's. ``directories`` sets
the modes, doctor checks them.
"""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyglue.beneath import opened
from pyglue.config import HiveConfig
from pyglue.errors import HiveError
from pyglue.folder import Folder, Owner
from pyglue.host.backends.owners import Owners

UNMAPPED_UID: Final = 2147483632
"""Outside every range that a container's users are mapped to."""


@dataclass(frozen=True)
class Mode:
    """Mode and owner of a directory; no owner: hived's own user.

    ``runtime``: it lies below the runtime directory, not the state directory.
    """

    mode: int
    owner: Owner | None = None
    runtime: bool = False

    def __str__(self) -> str:
        owner = "" if self.owner is None else ", user {}, group {}".format(*self.owner)
        return f"mode {self.mode:04o}{owner}"

    def set(self, folder: Folder) -> None:
        """Make a directory so."""
        folder.give(self.owner)
        folder.set_mode(self.mode)

    def holds(self, found: os.stat_result) -> bool:
        """Return whether it is so."""
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
        """Who passes through; None: nobody has to."""
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
        """Return the directory in which hive-notify listens, where there is one."""
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
        """Return the directories that are not so, each with how it is."""
        found = {}
        for place, wanted in self.all(names).items():
            with suppress(HiveError), opened(self._top(wanted), place) as folder:
                if folder is not None and not wanted.holds(folder.status):
                    found[place] = _said(folder.status)
        return found

    def mend(self, names: Iterable[str]) -> None:
        """Make them so."""
        for place, wanted in self.all(names).items():
            with suppress(HiveError), opened(self._top(wanted), place) as folder:
                if folder is not None:
                    wanted.set(folder)

    def _top(self, wanted: Mode) -> Path:
        return self._layout.runtime if wanted.runtime else self._layout.state

    def nobodys(self) -> Mode:
        """Return that of ``agents`` and each in it: no user of a container owns it."""
        if not self._root:
            return Mode(0o755)
        if self._group is None:
            return Mode(0o755, (UNMAPPED_UID, UNMAPPED_UID))
        return Mode(0o750, (UNMAPPED_UID, self._group))

    def private(self, name: str) -> Mode:
        """Return that of the hive's own directory of an agent."""
        owner = self._owners.of(name)
        return self._passage(None if owner is None else owner[1])

    def run(self, name: str) -> Mode:
        """Return that of an agent's sockets."""
        owner = self._owners.of(name)
        if owner is None or self._group is None:
            return Mode(0o755, runtime=True)  # what is above is closed
        return Mode(0o750, (0, owner[1]), runtime=True)

    def _passage(
        self, group: int | None, *, open_to: int = 0o700, runtime: bool = False
    ) -> Mode:
        """Let a group pass through and list nothing; without one it is ``open_to``."""
        if group is None or self._group is None:
            return Mode(open_to, runtime=runtime)
        return Mode(0o710, (0, group), runtime=runtime)


def _said(found: os.stat_result) -> str:
    mode = stat.S_IMODE(found.st_mode)
    return f"mode {mode:04o}, user {found.st_uid}, group {found.st_gid}"
