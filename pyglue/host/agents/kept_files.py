"""An agent's files on disk, and the only code that removes them.

Files of an agent that ever ran are removed only if the operator asked for it by name:
a store that does not know the agent may be an older one, from a backup.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pyglue.errors import ErrorCode, HiveError
from pyglue.files import nofollow
from pyglue.git.repos import AppliedRepo
from pyglue.git.tags import TagKind
from pyglue.names import is_name
from pyglue.paths import Layout


class KeptDirectory(StrEnum):
    """A part of the state that is kept when an agent is destroyed."""

    CONFIG = "config"
    STATE = "state"
    PRIVATE = "private"
    APPLIED = "applied"
    LOGS = "logs"


@dataclass(frozen=True, kw_only=True)
class KeptFiles:
    """Finds and removes the files of agents. Every method blocks: use a thread."""

    layout: Layout

    def forget_proposed(self, name: str) -> None:
        """Remove the repository of an agent that was never created.

        Raises:
            HiveError: ``name_taken`` if it ran: the store may be an older one.
        """
        self.remove(name, KeptDirectory.APPLIED)

    def need_never_ran(self, name: str) -> None:
        """Refuse to remove an agent that ever ran: the store may be an older one.

        Raises:
            HiveError: ``name_taken``, with what to do.
        """
        if self.has_run(name):
            raise HiveError(
                ErrorCode.NAME_TAKEN,
                f"{name} ran before, but the store does not know it; its repository is "
                "kept. Restore the store with `hive restore-backup`, or choose another "
                "name.",
            )

    def forget_draft(self, name: str) -> None:
        """Remove all files of a draft. Idempotent.

        Raises:
            HiveError: ``name_taken`` if it ever ran, ``unavailable`` with the path that
                could not be removed.
        """
        self.need_never_ran(name)
        for part in (KeptDirectory.CONFIG, KeptDirectory.STATE, KeptDirectory.PRIVATE):
            self.remove(name, part)
        self.remove(name, KeptDirectory.APPLIED)

    def has_run(self, name: str) -> bool:
        """Return whether a repository contains an earlier deployment, known or not."""
        applied = self.layout.applied(name)
        if not (applied / "HEAD").is_file():
            return False
        tags = AppliedRepo(applied).tags()
        return any(tag.kind is TagKind.DEPLOYED for tag in tags)

    def forget_run(self, name: str) -> None:
        """Remove the directory of the agent's sockets. Idempotent."""
        run = self.layout.run(name)
        nofollow.remove(self.layout.runtime, run)

    def places(self, name: str, part: KeptDirectory) -> tuple[Path, ...]:
        """Return the paths of a part of an agent's kept state, existing or not."""
        layout = self.layout
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
        layout = self.layout
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
            place for top, place in needed if not nofollow.is_folder(top, place)
        )

    def around(self, names: Iterable[str]) -> Iterator[Path]:
        """Yield the entries of agents/, applied/, private/ and these agents/NAME/."""
        state = self.layout.state
        parents = [state / part for part in ("agents", "applied", "private")]
        for parent in (*parents, *(parents[0] / name for name in names)):
            for name in nofollow.names(state, parent):
                yield parent / name

    def remove(
        self, name: str, part: KeptDirectory, *, confirmed: bool = False
    ) -> None:
        """Permanently remove a part of the kept state. Idempotent.

        ``confirmed``: the operator asked for it by name, so it may have run.

        Raises:
            HiveError: ``name_taken`` for the repository of an agent that ever ran,
                unless ``confirmed``; ``unavailable`` with the path that could not be
                removed.
        """
        if part is KeptDirectory.APPLIED and not confirmed:
            self.need_never_ran(name)
        for place in self.places(name, part):
            if part is KeptDirectory.APPLIED:
                place = AppliedRepo.put_aside(place)  # never leave a partial repository
            self.remove_tree(place)
        if part is KeptDirectory.STATE:  # removed last, so the parent is empty now
            self.remove_tree(self.layout.agents / name)

    def remove_tree(self, place: Path) -> None:
        """Remove something below the state directory. Idempotent.

        Raises:
            HiveError: ``forbidden``; ``unavailable`` with the path that could not be
                removed.
        """
        nofollow.remove(self.layout.state, place)

    def forget_strays(self, known: frozenset[str]) -> None:
        """Remove leftovers of proposals during which hived died; at start only.

        Agents that ever ran, or have a working copy, are kept, known or not: the store
        may be an older one from a backup.
        """
        for applied in sorted(self.layout.applied_root.glob("*.git")):
            name = applied.name.removesuffix(".git")
            if name in known or not is_name(name) or not (applied / "HEAD").is_file():
                continue
            if nofollow.exists(self.layout.state, self.layout.agents / name):
                continue
            if not self.has_run(name):
                self.remove(name, KeptDirectory.APPLIED)

    def tidy_all(self) -> None:
        """Clean up the repositories after a crash; at start only."""
        for applied in self.layout.applied_root.glob("*.git"):
            if (applied / "HEAD").is_file():
                AppliedRepo(applied).tidy()
