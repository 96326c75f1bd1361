"""Which user of the host an agent is, in a hive that root started by hand.

Each has a user of its own from the hive's range (``Ids``), so that no agent, and no
friend of one among the host's users, becomes another by a file or a socket. An agent's
user is who owns its state directory: that is kept over restarts, in a backup, and when
the agent is destroyed and restored. What comes from elsewhere, a backup of another
machine or a hive that had one user for all, is given to a user of the range. An
agent's ``config`` belongs to the manager, who alone writes it. Blocking.
"""

import threading
from typing import Final

from pyglue.beneath import opened
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.folder import Folder, Owner
from pyglue.names import MANAGER, is_name


class Owners:
    """Chooses users, and gives them what is theirs."""

    def __init__(self, config: HiveConfig) -> None:
        self._layout = config.layout
        self._ids = config.ids
        self._lock: Final = threading.Lock()
        self._chosen: dict[str, int] = {}

    @property
    def manager(self) -> Owner | None:
        """The manager's user, who owns every ``config``; None: whoever we are."""
        return None if self._ids is None else (self._ids.agent, self._ids.agent)

    @property
    def shared(self) -> Owner | None:
        """The user of all agents; None if each has one, or all are whoever we are."""
        return self.manager if self._ids is not None and self._ids.agents == 1 else None

    def of(self, name: str) -> Owner | None:
        """Return an agent's user, chosen now if it has none yet.

        Raises:
            HiveError: ``too_many`` if the range is used up.
        """
        ids = self._ids
        if ids is None or ids.agents == 1 or name == MANAGER:
            return self.manager
        with self._lock:
            if name not in self._chosen:
                self._chosen[name] = self._choose(name)
            return (self._chosen[name], self._chosen[name])

    def settle(self, name: str) -> Owner | None:
        """Give an agent's user, and the manager, what is there of theirs."""
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
        """Do so for all that have directories; at start."""
        for name in self._names():
            self.settle(name)

    def _names(self) -> tuple[str, ...]:
        layout = self._layout
        with Folder.at(layout.state, layout.agents) as agents:
            return tuple(filter(is_name, agents.names()))

    def _choose(self, name: str) -> int:
        """Return who owns the agent's state, or the first user that is nobody's."""
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
    """Change the owner of a directory, and of its contents of the same user."""
    found = folder.look(name)
    if found is not None and (found.st_uid, found.st_gid) != owner:
        folder.give_tree(name, found.st_uid, owner)


def user_of(config: HiveConfig, name: str) -> int | None:
    """Return the number of an agent's user and group, once its sockets have a place.

    None: whoever we are.

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
