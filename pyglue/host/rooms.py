"""An agent's directories: made once, owned by whom the design says.

``agents/`` and each ``agents/<name>/`` belong to nobody whom a container maps, so
that container root can neither rename nor replace what is in them; ``config/`` and
``state/`` belong to the agents' user. In local mode without root everything is the
operator's own.
"""

import os
import shutil
from enum import StrEnum
from pathlib import Path
from typing import Final

from pyglue.config import HiveConfig
from pyglue.display import visible
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.config_repo import copy_config_repo, sweep_staging
from pyglue.git.repos import AppliedRepo
from pyglue.git.tags import TagKind
from pyglue.host import ports
from pyglue.names import is_name
from pyglue.process import find_program, run_sync

_REMOVING_S: Final = 3600.0
UNMAPPED_UID: Final = 2147483632
"""Outside every range that a container's users are mapped to."""


class KeptRoom(StrEnum):
    """A part of what stays when an agent is destroyed."""

    CONFIG = "config"
    STATE = "state"
    PRIVATE = "private"
    APPLIED = "applied"
    LOGS = "logs"


class Rooms:
    """Makes and removes directories. Everything blocks: call it in a thread."""

    def __init__(self, config: HiveConfig) -> None:
        self._layout = config.layout
        self._ids = config.ids
        self._agent_ports = config.web.agent_ports
        # Containers get binds that root made; nobody has to pass by the host's paths,
        # where a set-user-id file that a container's root left would be the host's.
        self._passage = config.backend == "local"

    def prepare(self) -> None:
        """Make the hive's own directories, and remove what a crash left in them.

        Raises:
            HiveError: ``config_invalid`` where hived may not write.
        """
        try:
            self._prepare()
        except OSError as error:
            raise HiveError(
                ErrorCode.CONFIG_INVALID,
                f"{error.filename or self._layout.state} cannot be used: "
                f"{error.strerror}. Configure a state_dir and a runtime_dir that "
                "hived may write.",
            ) from error

    def _prepare(self) -> None:
        layout = self._layout
        layout.state.mkdir(parents=True, exist_ok=True)
        if self._ids is None or not self._passage:
            layout.state.chmod(0o700)
        else:  # agents pass through to what is bound, and can list nothing
            layout.state.chmod(0o711)
        for private in (layout.quarantine, layout.logs, layout.state / "private"):
            private.mkdir(exist_ok=True, mode=0o700)
            private.chmod(0o700)
        for shared in (
            layout.runtime,
            layout.runtime / "agents",
            layout.agents,
            layout.applied_root,
        ):
            shared.mkdir(exist_ok=True, parents=True)
            shared.chmod(0o755)
        self.give_to_nobody(layout.agents)
        for left in layout.quarantine.iterdir():
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                left.unlink()
        AppliedRepo.sweep(layout.applied_root)

    def make(self, name: str) -> None:
        """Make an agent's rooms from ``applied``; what is there already stays."""
        layout = self._layout
        self.make_draft(name)
        layout.private(name).mkdir(exist_ok=True)
        for passage in (layout.private(name), layout.private(name).parent):
            passage.chmod(0o711)
        self._own(layout.session(name), 0o700)
        self.make_run(name)

    def make_draft(self, name: str) -> None:
        """Make what the manager may write of an agent: its repository and state."""
        layout = self._layout
        home = layout.agents / name
        home.mkdir(exist_ok=True)
        home.chmod(0o755)
        sweep_staging(home)
        self.give_to_nobody(home)
        uid = None if self._ids is None else self._ids.agent
        if not layout.config(name).exists():
            applied = AppliedRepo(layout.applied(name))
            copy_config_repo(applied, layout.config(name), uid=uid, gid=uid)
        self._own(layout.agent_state(name), 0o750)

    def make_run(self, name: str) -> Path:
        """Make the directory of the agent's sockets; kept over restarts."""
        run = self._layout.run(name)
        run.mkdir(exist_ok=True)
        run.chmod(0o755)
        return run

    def settle_port(self, name: str) -> None:
        """Choose the port of a name that may be new, before it has a repository."""
        if self._agent_ports:
            ports.settle(self._layout, name)

    def forget_proposed(self, name: str) -> None:
        """Remove the repository of an agent that never came to be."""
        self.remove(name, KeptRoom.APPLIED)

    def forget_draft(self, name: str) -> None:
        """Remove all of a draft; again is no error.

        Raises:
            HiveError: ``unavailable`` with what stays.
        """
        for part in (KeptRoom.CONFIG, KeptRoom.STATE, KeptRoom.PRIVATE):
            self.remove(name, part)
        self.remove(name, KeptRoom.APPLIED)

    def has_run(self, name: str) -> bool:
        """Tell if a repository holds what was deployed once, whoever knows of it."""
        applied = self._layout.applied(name)
        if not (applied / "HEAD").is_file():
            return False
        tags = AppliedRepo(applied).tags()
        return any(tag.kind is TagKind.DEPLOYED for tag in tags)

    def forget_run(self, name: str) -> None:
        """Remove the directory of the agent's sockets; again is no error."""
        remove_tree(self._layout.run(name))

    def places(self, name: str, room: "KeptRoom") -> tuple[Path, ...]:
        """Return where a part of what is kept of an agent lies, there or not."""
        layout = self._layout
        match room:
            case KeptRoom.CONFIG:
                return (layout.config(name),)
            case KeptRoom.STATE:
                return (layout.agent_state(name),)
            case KeptRoom.PRIVATE:
                return (layout.private(name),)
            case KeptRoom.APPLIED:
                return (layout.applied(name),)
        log = layout.agent_log(name)
        older = log.with_name(f"{log.name}.1")
        built = layout.logs / "builds" / f"{name}.log"
        return (log, older, built, built.with_name(f"{built.name}.1"))

    def remove(self, name: str, room: "KeptRoom") -> None:
        """Remove a part of what is kept, for good; again is no error.

        Raises:
            HiveError: ``unavailable`` with what stays.
        """
        for place in self.places(name, room):
            if room is KeptRoom.APPLIED:
                place = AppliedRepo.put_aside(place)  # half of one must not be found
            remove_tree(place)
        if room is KeptRoom.STATE:  # the last of the two in it
            home = self._layout.agents / name
            if home.is_dir():
                sweep_staging(home)
            remove_tree(home)

    def forget_strays(self, known: frozenset[str]) -> None:
        """Remove what proposing an agent left when hived died in it; at start only.

        Whatever ever ran, or has a working copy, stays, known or not: the store may be
        an older one from a backup.
        """
        for applied in sorted(self._layout.applied_root.glob("*.git")):
            name = applied.name.removesuffix(".git")
            if name in known or not is_name(name) or not (applied / "HEAD").is_file():
                continue
            if (self._layout.agents / name).exists():
                continue
            if not self.has_run(name):
                self.remove(name, KeptRoom.APPLIED)

    def tidy_all(self) -> None:
        """Remove what a crash left in the repositories; at start only."""
        for applied in self._layout.applied_root.glob("*.git"):
            if (applied / "HEAD").is_file():
                AppliedRepo(applied).tidy()

    def _own(self, path: Path, mode: int) -> None:
        if not path.exists():
            path.mkdir()
            path.chmod(mode)
            if self._ids is not None:
                os.chown(path, self._ids.agent, self._ids.agent)

    def give_to_nobody(self, path: Path) -> None:
        """Let no user of a container own it, as root."""
        if self._ids is not None:
            os.chown(path, UNMAPPED_UID, UNMAPPED_UID)


def remove_tree(path: Path) -> None:
    """Remove what agents may have filled: however deep, and following no link."""
    if not os.path.lexists(path):
        return
    done = run_sync(
        [find_program("rm"), "-rf", "--one-file-system", "--", str(path)],
        env={"LC_ALL": "C"},
        timeout=_REMOVING_S,
    )
    if done.code != 0 or os.path.lexists(path):
        said = done.stderr.decode("utf-8", "replace").strip()[-300:] or "still there"
        raise HiveError(
            ErrorCode.UNAVAILABLE,
            f"{path} could not be removed whole: {visible(said)}. Is "
            "something writing in it? Do it again.",
        )
