"""An agent's directories: created once, with the designed owners.

``agents/`` and each ``agents/<name>/`` belong to a user that no container maps, so
that container root can neither rename nor replace their contents; ``config/`` and
``state/`` belong to the agents' user. In local mode without root everything is the
operator's own.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final

from pyglue import beneath
from pyglue.beneath import opened
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.folder import Folder, Owner
from pyglue.git.config_repo import copy_config_repo, sweep_staging
from pyglue.git.repos import AppliedRepo
from pyglue.git.tags import TagKind
from pyglue.host.agents import ports
from pyglue.host.agents.modes import Modes
from pyglue.host.backends.owners import Owners
from pyglue.names import is_name
from pyglue.paths import INSIDE

_SECRETS: Final = Path(INSIDE.secrets).name


class KeptDirectory(StrEnum):
    """A part of what stays when an agent is destroyed."""

    CONFIG = "config"
    STATE = "state"
    PRIVATE = "private"
    APPLIED = "applied"
    LOGS = "logs"


def unusable(state: Path, error: OSError) -> HiveError:
    """Return the refusal to run where hived may not write."""
    return HiveError(
        ErrorCode.CONFIG_INVALID,
        f"Cannot use {error.filename or state}: {error.strerror}. Configure a "
        "state_dir and a runtime_dir that hived may write to.",
    )


class Directories:
    """Creates and removes directories. Every method blocks: call it in a thread."""

    def __init__(self, config: HiveConfig, *, agents_pass: bool) -> None:
        """``agents_pass`` is the backend's: whether agents are users of the host."""
        self._layout = config.layout
        self._owners = Owners(config)
        self.modes: Final = Modes(config, self._owners, agents_pass=agents_pass)
        self._agent_ports = config.web.agent_ports
        self._made: Callable[[str], None] = lambda _name: None

    def connect(self, made: Callable[[str], None]) -> None:
        """Set the listener for possibly new directories; called in any thread."""
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
        """Make an agent's directories from ``applied``; what is there already stays."""
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
        """Create the parts that the manager may write: repository and state."""
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
                pass  # only a place for a directory in memory
        return run

    def settle_port(self, name: str) -> None:
        """Choose the port of a possibly new name, before it has a repository."""
        if self._agent_ports:
            ports.settle(self._layout, name)

    def forget_proposed(self, name: str) -> None:
        """Remove the repository of an agent that was never created.

        Raises:
            HiveError: ``name_taken`` if it ran: the store may be an older one.
        """
        self.remove(name, KeptDirectory.APPLIED)

    def need_never_ran(self, name: str) -> None:
        """Refuse to remove what ran: the store that does not know it may be older.

        Raises:
            HiveError: ``name_taken`` with what to do.
        """
        if self.has_run(name):
            raise HiveError(
                ErrorCode.NAME_TAKEN,
                f"{name} ran before, but the store does not know it; its repository is "
                "kept. Restore the store with `hive restore-backup`, or choose another "
                "name.",
            )

    def forget_draft(self, name: str) -> None:
        """Remove all of a draft. Idempotent.

        Raises:
            HiveError: ``name_taken`` if it ran, ``unavailable`` with what could not be
                removed.
        """
        self.need_never_ran(name)
        for part in (KeptDirectory.CONFIG, KeptDirectory.STATE, KeptDirectory.PRIVATE):
            self.remove(name, part)
        self.remove(name, KeptDirectory.APPLIED)

    def has_run(self, name: str) -> bool:
        """Return whether a repository contains an earlier deployment, known or not."""
        applied = self._layout.applied(name)
        if not (applied / "HEAD").is_file():
            return False
        tags = AppliedRepo(applied).tags()
        return any(tag.kind is TagKind.DEPLOYED for tag in tags)

    def forget_run(self, name: str) -> None:
        """Remove the directory of the agent's sockets. Idempotent."""
        run = self._layout.run(name)
        beneath.remove(self._layout.runtime, run)

    def places(self, name: str, part: "KeptDirectory") -> tuple[Path, ...]:
        """Return the paths of a part of an agent's kept state, existing or not."""
        layout = self._layout
        match part:
            case KeptDirectory.CONFIG:
                return (layout.config(name),)
            case KeptDirectory.STATE:
                return (layout.agent_state(name),)
            case KeptDirectory.PRIVATE:
                return (layout.private(name),)
            case KeptDirectory.APPLIED:
                return (layout.applied(name),)
        log = layout.agent_log(name)
        older = log.with_name(f"{log.name}.1")
        built = layout.logs / "builds" / f"{name}.log"
        return (log, older, built, built.with_name(f"{built.name}.1"))

    def missing(self, name: str) -> tuple[Path, ...]:
        """Return the missing directories of a running agent."""
        layout = self._layout
        here = (
            *self.places(name, KeptDirectory.CONFIG),
            *self.places(name, KeptDirectory.STATE),
        )
        needed = [
            (layout.state, place)
            for place in (
                *here,
                self.places(name, KeptDirectory.PRIVATE)[0] / "session",
            )
        ]
        needed.append((layout.runtime, layout.run(name)))
        return tuple(
            place for top, place in needed if not beneath.is_folder(top, place)
        )

    def around(self, names: Iterable[str]) -> Iterator[Path]:
        """Yield files beside agents' directories, repositories and their parts."""
        state = self._layout.state
        parents = [state / part for part in ("agents", "applied", "private")]
        for parent in (*parents, *(parents[0] / name for name in names)):
            for name in beneath.names(state, parent):
                yield parent / name

    def remove(
        self, name: str, part: "KeptDirectory", *, confirmed: bool = False
    ) -> None:
        """Permanently remove a part of the kept state. Idempotent.

        ``confirmed``: the operator asked for it by name, so what ran may go too.

        Raises:
            HiveError: ``name_taken`` for a repository of what ran, unless that is
                confirmed; ``unavailable`` with what could not be removed.
        """
        if part is KeptDirectory.APPLIED and not confirmed:
            self.need_never_ran(name)
        for place in self.places(name, part):
            if part is KeptDirectory.APPLIED:
                place = AppliedRepo.put_aside(place)  # half of one must not be found
            self.remove_tree(place)
        if part is KeptDirectory.STATE:  # the last of the two in it
            self.remove_tree(self._layout.agents / name)

    def remove_tree(self, place: Path) -> None:
        """Remove something below the state directory. Idempotent.

        Raises:
            HiveError: ``forbidden``; ``unavailable`` with what could not be removed.
        """
        beneath.remove(self._layout.state, place)

    def forget_strays(self, known: frozenset[str]) -> None:
        """Remove leftovers of proposals during which hived died; at start only.

        Anything that ever ran, or has a working copy, stays, known or not: the store
        may be an older one from a backup.
        """
        for applied in sorted(self._layout.applied_root.glob("*.git")):
            name = applied.name.removesuffix(".git")
            if name in known or not is_name(name) or not (applied / "HEAD").is_file():
                continue
            if beneath.exists(self._layout.state, self._layout.agents / name):
                continue
            if not self.has_run(name):
                self.remove(name, KeptDirectory.APPLIED)

    def tidy_all(self) -> None:
        """Clean up the repositories after a crash; at start only."""
        for applied in self._layout.applied_root.glob("*.git"):
            if (applied / "HEAD").is_file():
                AppliedRepo(applied).tidy()

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
            HiveError: ``unavailable`` if it is neither here nor there.
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

    @property
    def state(self) -> Path:
        """The directory that everything which is kept lies below."""
        return self._layout.state

    def owner(self) -> Owner | None:
        """Return whom what is imported belongs to at first; None: whoever we are."""
        return self._owners.shared


def _own(home: Folder, name: str, mode: int, owner: Owner | None) -> None:
    """Make a directory that belongs to ``owner``; what is there stays."""
    if home.look(name) is None:
        with home.folder(name, make=0o700) as made:
            made.give(owner)
            made.set_mode(mode)
