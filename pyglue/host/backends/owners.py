"""The host users of agents, in a hive that root started by hand.

Each agent has its own user from the hive's range (``Ids``), so that neither an agent
nor a colluding user of the host can impersonate another agent by a file or a socket. An
agent's user is the owner of its state directory, which survives restarts, backups, and
destroying and restoring the agent. Files from elsewhere (a backup of another machine,
a hive with one user for all agents) are given to a user of the range. An agent's
``config`` belongs to the manager, the only one to write it. Blocking.
"""

import threading
from typing import Final

from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.files.directory import Folder, Owner
from pyglue.files.nofollow import opened
from pyglue.names import MANAGER, is_name


class Owners:
    """Chooses users, and gives them the ownership of their files."""

    def __init__(self, config: HiveConfig) -> None:
        self._layout = config.layout
        self._ids = config.ids
        self._lock: Final = threading.Lock()
        self._chosen: dict[str, int] = {}

    @property
    def manager(self) -> Owner | None:
        """The manager's user, owner of every ``config``; None means hived's own."""
        return None if self._ids is None else (self._ids.agent, self._ids.agent)

    @property
    def shared(self) -> Owner | None:
        """The common user of all agents; None if each has one, or all are hived's."""
        return self.manager if self._ids is not None and self._ids.agents == 1 else None

    def of(self, name: str) -> Owner | None:
        """Return an agent's user; choose one if it has none yet.

        Raises:
            HiveError: ``too_many`` if the range is exhausted.
        """
        ids = self._ids
        if ids is None or ids.agents == 1 or name == MANAGER:
            return self.manager
        with self._lock:
            if name not in self._chosen:
                self._chosen[name] = self._choose(name)
            return (self._chosen[name], self._chosen[name])

    def settle(self, name: str) -> Owner | None:
        """Set the owners of an agent's existing directories; return its user."""
        owner = self.of(name)
        if owner is None or self._ids is None or self._ids.agents == 1:
            return owner
        layout = self._layout
        with opened(layout.state, layout.agents / name) as home:
            if home is not None:
                _give(home, layout.agent_state(name).name, owner)
                _give(home, layout.config(name).name, self.manager or owner)
        with opened(layout.state, layout.private(name)) as private:
            if private is not None:
                _give(private, layout.session(name).name, owner)
        return owner

    def settle_all(self) -> None:
        """Settle all agents that have directories; at start."""
        for name in self._names():
            self.settle(name)

    def _names(self) -> tuple[str, ...]:
        layout = self._layout
        with Folder.at(layout.state, layout.agents) as agents:
            return tuple(filter(is_name, agents.names()))

    def _choose(self, name: str) -> int:
        """Return the owner of the agent's state, or the first unused user."""
        found = {one: self._owner_on_disk(one) for one in self._names()}
        own = found.pop(name, None)
        taken = {*found.values(), *self._chosen.values(), self._first}
        if own is not None and self._is_ours(own) and own not in taken:
            return own
        for uid in range(self._first, self._end):
            if uid not in taken:
                return uid
        raise HiveError(
            ErrorCode.TOO_MANY,
            f"All {self._end - self._first} user IDs for agents of this hive are in "
            "use. Purge the kept state of destroyed agents.",
        )

    def _owner_on_disk(self, name: str) -> int | None:
        layout = self._layout
        with opened(layout.state, layout.agent_state(name)) as state:
            return None if state is None else state.status.st_uid

    @property
    def _first(self) -> int:
        return 0 if self._ids is None else self._ids.agent

    @property
    def _end(self) -> int:
        return 0 if self._ids is None else self._ids.agent + self._ids.agents

    def _is_ours(self, uid: int) -> bool:
        return self._first <= uid < self._end


def _give(folder: Folder, name: str, owner: Owner) -> None:
    """Change the owner of a directory, and of the contents with the same owner."""
    found = folder.look(name)
    if found is not None and (found.st_uid, found.st_gid) != owner:
        folder.give_tree(name, found.st_uid, owner)


def user_of(config: HiveConfig, name: str) -> int | None:
    """Return the ID of an agent's user and group; None means hived's own.

    The directory for the agent's sockets must exist.

    Raises:
        HiveError: ``not_found`` if it has no directory for its sockets.
    """
    ids = config.ids
    if ids is None or ids.agents == 1:
        return None if ids is None else ids.agent
    run = config.layout.run(name)
    try:
        return run.stat().st_gid
    except OSError as error:
        raise HiveError(
            ErrorCode.NOT_FOUND, f"{run} does not exist. Run hive doctor --repair."
        ) from error
