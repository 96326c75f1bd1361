"""Inconsistencies of files, containers and processes with the store.

Unknown files are never removed: they become kept state, which the operator restores or
purges. Only files left incomplete for an hour, and sockets and ports without an agent,
are removed.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyglue.api.operations import OperationKind
from pyglue.errors import HiveError
from pyglue.files import nofollow
from pyglue.files.nofollow import opened
from pyglue.git.repos import AppliedRepo
from pyglue.host.agents.directories import Directories
from pyglue.host.agents.kept_files import KeptFiles
from pyglue.host.backends.base import Backend
from pyglue.host.core.name_conflicts import check_free
from pyglue.host.core.operations import Operations
from pyglue.host.doctor.finding import Finding
from pyglue.names import SYSTEM, is_name
from pyglue.paths import Layout
from pyglue.store import kept
from pyglue.store.agreement import Snapshot
from pyglue.store.database import Store, Tx

_OLD_S: Final = 3600.0
_MAKING: Final = (".import-", ".staging-", ".new-")


@dataclass(frozen=True, kw_only=True)
class DirectoryRepair:
    """Examines everything below the state and runtime directories."""

    store: Store
    operations: Operations
    directories: Directories
    kept_files: KeptFiles
    backend: Backend
    layout: Layout
    reopen: Callable[[str], Awaitable[None]]
    """Creates the socket of an agent that is not restarted."""

    async def look(self, snapshot: Snapshot) -> list[Finding]:
        """Return the inconsistencies."""
        found = await asyncio.to_thread(lambda: list(self._files(snapshot)))
        known = frozenset((*snapshot.agents, *snapshot.busy))
        for name in await asyncio.to_thread(self.backend.left_behind, known):
            found.append(
                Finding(
                    agent=name,
                    says=f"The container {self.backend.container(name)} of this hive "
                    "exists, but its agent does not.",
                    would=f"stop and remove the container of {name}",
                    repair=lambda it=name: self._remove_container(it),  # type: ignore[misc]
                )
            )
        names = (*snapshot.agents, *snapshot.kept, *snapshot.drafts)
        for what, end in await asyncio.to_thread(self.backend.orphans, names):
            would = "kill the process"
            found.append(
                Finding(agent=None, says=what, would=would, repair=_threaded(end))
            )
        return found

    def _files(self, snapshot: Snapshot) -> Iterator[Finding]:
        for name in snapshot.agents:
            if name not in snapshot.busy:
                yield from self._missing(name, wanted=snapshot.agents[name].wanted)
        for name in sorted(self._names()):
            if not snapshot.knows(name):
                yield from self._unknown(name, snapshot)
        yield from self._left(snapshot)
        yield from self._modes(snapshot)

    # --- agents without directories ---------------------------------------------------

    def _missing(self, name: str, *, wanted: bool) -> Iterator[Finding]:
        layout = self.layout
        gone = self.kept_files.missing(name)
        if not gone or not (layout.applied(name) / "HEAD").is_file():
            return
        would = "create them" + (f" and restart {name}" if wanted else "")

        async def repair() -> None:
            await asyncio.to_thread(self.directories.make, name)
            if wanted:
                kind = OperationKind.RESTART
                await self.operations.request(kind, name, by=SYSTEM)
            else:
                await self.reopen(name)

        says = f"{name} is missing directories: {', '.join(map(str, gone))}."
        yield Finding(agent=name, says=says, would=would, repair=repair, queues=wanted)

    # --- files without rows -----------------------------------------------------------

    def _names(self) -> set[str]:
        layout = self.layout
        found = set(self._names_in(layout.agents))
        found |= set(self._names_in(layout.state / "private"))
        found |= {
            name.removesuffix(".git")
            for name in self._names_in(layout.applied_root)
            if name.endswith(".git")
        }
        return {name for name in found if is_name(name)}

    def _unknown(self, name: str, snapshot: Snapshot) -> Iterator[Finding]:
        layout = self.layout
        private = layout.private(name)
        inside = set(self._names_in(private))
        repository = (layout.applied(name) / "HEAD").is_file()
        if (
            self._is_folder(layout.agents / name)
            or inside - {"port", "port.new"}
            or (repository and (not snapshot.of(name) or self.kept_files.has_run(name)))
        ):
            yield self._keep(name, repository=repository)
        elif not repository and self._is_folder(private) and not snapshot.of(name):
            yield Finding(
                agent=name,
                says=f"A port of {name} ({private}) exists, but no such agent.",
                would=f"remove {private}",
                repair=_threaded(lambda: self.kept_files.remove_tree(private)),
            )

    def _keep(self, name: str, *, repository: bool) -> Finding:
        async def repair() -> None:
            path = self.layout.applied(name)
            repo = AppliedRepo(path) if repository else None
            main = await asyncio.to_thread(repo.main) if repo is not None else None
            description = "Found by hive doctor without a record in the store."

            def insert(tx: Tx) -> None:
                check_free(tx, name)
                kept.insert(tx, name, by=SYSTEM, description=description, commit=main)

            await self.store.write(insert)

        return Finding(
            agent=name,
            says=f"Files of {name} exist, but the store has no such agent.",
            would="keep them like those of a destroyed agent, to be restored or purged",
            repair=repair,
            keeps=True,
        )

    # --- open to others ---------------------------------------------------------------

    def _modes(self, snapshot: Snapshot) -> Iterator[Finding]:
        modes = self.directories.modes
        names = tuple(name for name in snapshot.agents if name not in snapshot.busy)
        wanted = modes.all(names)
        for place, found in modes.wrong(names).items():
            yield Finding(
                agent=None,
                says=f"{place} has {found}, but should have {wanted[place]}.",
                would="set mode and owner",
                repair=_threaded(lambda: modes.repair(names)),
            )

    # --- left over --------------------------------------------------------------------

    def _left(self, snapshot: Snapshot) -> Iterator[Finding]:
        layout = self.layout
        before = time.time() - _OLD_S
        making = [
            place
            for place in self.kept_files.around(snapshot.agents)
            if place.name.startswith(_MAKING)
        ]
        left = [layout.quarantine / one for one in self._names_in(layout.quarantine)]
        for path in (*left, *making):
            if self._changed_at(path) < before:
                yield Finding(
                    agent=None,
                    says=f"{path} was left incomplete.",
                    would=f"remove {path}",
                    repair=_threaded(lambda it=path: self.kept_files.remove_tree(it)),  # type: ignore[misc]
                )
        sockets = layout.runtime / "agents"
        for name in nofollow.names(layout.runtime, sockets):
            path = sockets / name
            if (
                is_name(name)
                and name not in snapshot.agents
                and name not in snapshot.busy
            ):
                yield Finding(
                    agent=name,
                    says=f"Sockets of {name} ({path}) exist, but no such agent.",
                    would=f"remove {path}",
                    repair=_threaded(lambda it=name: self.kept_files.forget_run(it)),  # type: ignore[misc]
                )

    def _is_folder(self, path: Path) -> bool:
        return nofollow.is_folder(self.layout.state, path)

    def _names_in(self, directory: Path) -> tuple[str, ...]:
        return nofollow.names(self.layout.state, directory)

    def _changed_at(self, path: Path) -> float:
        """Return the time of the last change; now, if it is gone."""
        with suppress(HiveError), opened(self.layout.state, path.parent) as above:
            found = None if above is None else above.look(path.name)
            if found is not None:
                return found.st_mtime
        return time.time()

    async def _remove_container(self, name: str) -> None:
        await self.backend.stop(name)
        await self.backend.remove(name)


def _threaded(work: Callable[[], None]) -> Callable[[], "asyncio.Future[None]"]:
    return lambda: asyncio.ensure_future(asyncio.to_thread(work))
