"""An agent's directories: created once, with the intended owners.

``agents/`` and each ``agents/<name>/`` belong to a user that no container maps, so
that container root can neither rename nor replace their contents; ``config/`` and
``state/`` belong to the agents' user. In local mode without root the operator owns
everything.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.files.directory import Folder, Owner
from pyglue.files.nofollow import opened
from pyglue.git.config_repo import copy_config_repo, sweep_staging
from pyglue.git.repos import AppliedRepo
from pyglue.host.agents import ports
from pyglue.host.agents.modes import Modes
from pyglue.host.backends.owners import Owners
from pyglue.paths import INSIDE

_SECRETS: Final = Path(INSIDE.secrets).name


def unusable(state: Path, error: OSError) -> HiveError:
    """Return the error for directories that hived cannot write."""
    return HiveError(
        ErrorCode.CONFIG_INVALID,
        f"Cannot use {error.filename or state}: {error.strerror}. Configure a "
        "state_dir and a runtime_dir that hived may write to.",
    )


class Directories:
    """Creates directories. Every method blocks: call it in a thread."""

    def __init__(self, config: HiveConfig, *, agents_pass: bool) -> None:
        """``agents_pass``: whether the backend runs agents as users of the host."""
        self._layout = config.layout
        self._owners = Owners(config)
        self.modes: Final = Modes(config, self._owners, agents_pass=agents_pass)
        self._agent_ports = config.web.agent_ports
        self._made: Callable[[str], None] = lambda _name: None

    def connect(self, made: Callable[[str], None]) -> None:
        """Set the listener for possibly new directories; called from any thread."""
        self._made = made

    def prepare(self) -> None:
        """Create the hive's own directories, and clean up after a crash.

        Raises:
            HiveError: ``config_invalid`` if hived lacks write access.
        """
        try:
            self._prepare()
        except OSError as error:
            raise unusable(self._layout.state, error) from error

    def _prepare(self) -> None:
        layout = self._layout
        layout.state.mkdir(parents=True, exist_ok=True)
        for own in (layout.quarantine, layout.logs):
            own.mkdir(exist_ok=True, mode=0o700)
            own.chmod(0o700)
        layout.runtime.mkdir(exist_ok=True, parents=True, mode=0o700)
        for place, wanted in self.modes.own().items():
            place.mkdir(exist_ok=True, mode=0o700)
            with Folder.at(
                layout.runtime if wanted.runtime else layout.state, place
            ) as it:
                wanted.set(it)
        self._owners.settle_all()
        for left in layout.quarantine.iterdir():
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                left.unlink()
        AppliedRepo.sweep(layout.applied_root)

    def make(self, name: str) -> None:
        """Create an agent's missing directories, with ``config`` from ``applied``."""
        layout = self._layout
        self.make_draft(name)
        with (
            Folder.at(layout.state, layout.private(name).parent) as private,
            private.folder(name, make=0o700) as part,
        ):
            owner = self._owners.of(name)
            self.modes.private(name).set(part)
            _own(part, layout.session(name).name, 0o700, owner)
        self.make_run(name)

    def make_draft(self, name: str) -> None:
        """Create the directories that the manager may write: repository and state."""
        layout = self._layout
        with (
            Folder.at(layout.state, layout.agents) as agents,
            agents.folder(name, make=0o700) as home,
        ):
            self.modes.nobodys().set(home)
            sweep_staging(home)
            config = layout.config(name).name
            if home.look(config) is None:
                applied = AppliedRepo(layout.applied(name))
                copy_config_repo(applied, home, config, owner=self._owners.manager)
            _own(home, layout.agent_state(name).name, 0o750, self._owners.of(name))
        self._owners.settle(name)
        self._made(name)

    def make_run(self, name: str) -> Path:
        """Create the directory of the agent's sockets; it survives restarts."""
        run = self._layout.run(name)
        run.mkdir(exist_ok=True, mode=0o700)
        with Folder.at(run) as folder:
            self.modes.run(name).set(folder)
            with folder.folder(_SECRETS, make=0o700):
                pass  # only a mount point for a directory in memory
        return run

    def settle_port(self, name: str) -> None:
        """Choose a port for a name that may be new, before it has a repository."""
        if self._agent_ports:
            ports.settle(self._layout, name)

    def stage(self, place: Path) -> None:
        """Create a directory for an import, accessible to hived alone."""
        with (
            Folder.at(self._layout.state, place.parent) as parent,
            parent.folder(place.name, make=0o700) as staged,
        ):
            if place.parent.name == "agents":
                staged.give(self.modes.nobodys().owner)

    def own(self, place: Path, mode: int) -> None:
        """Create a directory that belongs to the agent's user."""
        with Folder.at(self._layout.state, place.parent) as parent:
            _own(parent, place.name, mode, self._owners.shared)

    def adopt(self, source: Path, place: Path) -> None:
        """Move staged files into place. Idempotent.

        Raises:
            HiveError: ``unavailable`` if the files are in neither location.
        """
        state = self._layout.state
        with (
            opened(state, source.parent) as staged,
            Folder.at(state, place.parent.parent) as above,
            above.folder(place.parent.name, make=0o700) as home,
        ):
            if staged is not None and staged.is_folder(source.name):
                staged.move(source.name, home, place.name)
            if not home.is_folder(place.name):
                raise HiveError(
                    ErrorCode.UNAVAILABLE,
                    f"Could not create {place}. Import the archive again.",
                )

    def owner(self) -> Owner | None:
        """Return the initial owner of imported files; None: hived's own user."""
        return self._owners.shared


def _own(home: Folder, name: str, mode: int, owner: Owner | None) -> None:
    """Create a directory that belongs to ``owner``; leave an existing one alone."""
    if home.look(name) is None:
        with home.folder(name, make=0o700) as made:
            made.give(owner)
            made.set_mode(mode)
