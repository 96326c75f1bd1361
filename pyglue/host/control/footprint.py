"""The disk usage of each agent's files, and pausing agents over their quota.

A walk counts the files. It follows no links, stays on one file system, opens each
directory relative to its parent and stops at the quota, so its cost is bounded by what
an agent may have. It runs in a thread, one agent at a time, for at most a fiftieth of
the time. Nothing is removed: the agent is put on hold, with the reason, until the
operator (or the manager) has freed space.
"""

import asyncio
import logging
import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pyglue.config import Quotas
from pyglue.errors import HiveError
from pyglue.files import nofollow
from pyglue.files.directory import Folder
from pyglue.host.control.controls import Controls
from pyglue.host.core.agent import Agent
from pyglue.host.core.registry import Registry
from pyglue.host.core.transitions import Transitions
from pyglue.host.messages.broker import Broker
from pyglue.limits import MIB
from pyglue.names import MANAGER, OPERATOR
from pyglue.paths import Layout

_EVERY_S: Final = 60.0
_SHARE: Final = 50
"""The pause after a walk, as a multiple of the walk's duration."""
_DEPTH: Final = 200
_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Footprint:
    """The result of a count; the contents of ``unread`` directories are unknown."""

    bytes: int = 0
    files: int = 0
    unread: int = 0
    _linked: set[int] = field(default_factory=set)

    def add(self, found: os.stat_result) -> None:
        """Count a file or directory; count the bytes of hard links once."""
        self.files += 1
        if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
            if found.st_ino in self._linked:
                return
            self._linked.add(found.st_ino)
        self.bytes += found.st_blocks * 512

    def problem(self, name: str, quotas: Quotas) -> str | None:
        """Return why the agent is on hold, None if it is within its quotas."""
        most, files = quotas.state_mib, quotas.state_files
        if most is not None and self.bytes > most * MIB:
            what = f"use more than {most} MiB of disk space"
        elif files is not None and self.files > files:
            what = f"comprise more than {files} files and directories"
        elif self.unread and (most is not None or files is not None):
            what = (
                f"cannot be measured: hived may not read {self.unread} directories, "
                f"or they are nested more than {_DEPTH} deep"
            )
        else:
            return None
        return (
            f"The files of {name} {what}. It is on hold until that is resolved: "
            "remove files, or raise its quota."
        )


def measure(
    top: Path,
    places: tuple[Path, ...],
    quotas: Quotas,
    *,
    left: frozenset[Path] = frozenset(),
) -> Footprint:
    """Count the files in these directories, stopping just above the quotas. Blocks.

    Unreadable directories in ``left`` are ignored: they belong to agents that no longer
    exist.
    """
    found = Footprint()
    for place in places:
        unread = found.unread
        with suppress(HiveError, OSError), nofollow.opened(top, place) as folder:
            if folder is not None:
                _walk(folder, found, quotas)
        if place in left:
            found.unread = unread
    return found


def _walk(top: Folder, found: Footprint, quotas: Quotas) -> None:
    device = top.status.st_dev
    above: list[tuple[int, Iterator[os.DirEntry[str]]]] = []
    try:
        above.append(_listing(os.dup(top.fd)))
        while above:
            if found.problem("", quotas) is not None and not found.unread:
                return
            fd, entries = above[-1]
            entry = next(entries, None)
            if entry is None:
                above.pop()
                os.close(fd)
                continue
            with suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                if status.st_dev != device:
                    continue
                found.add(status)
                if stat.S_ISDIR(status.st_mode):
                    _descend(above, fd, entry.name, found)
    finally:
        for fd, _ in above:
            os.close(fd)


def _descend(
    above: list[tuple[int, Iterator[os.DirEntry[str]]]],
    fd: int,
    name: str,
    found: Footprint,
) -> None:
    if len(above) >= _DEPTH:
        found.unread += 1
        return
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        inner = os.open(name, flags, dir_fd=fd)
    except FileNotFoundError:
        return
    except NotADirectoryError:  # it was replaced just now
        return
    except OSError:
        found.unread += 1
        return
    above.append(_listing(inner))


def _listing(fd: int) -> tuple[int, Iterator[os.DirEntry[str]]]:
    return fd, os.scandir(fd)


@dataclass(frozen=True, kw_only=True)
class Footprints:
    """Checks every agent in turn."""

    registry: Registry
    transitions: Transitions
    broker: Broker
    controls: Controls
    layout: Layout
    quotas: Quotas

    async def watch(self) -> None:
        """Check at intervals; runs as long as hived does."""
        if self.quotas.state_mib is None and self.quotas.state_files is None:
            await asyncio.Event().wait()
        while True:
            began = time.monotonic()
            for agent in self.registry.all():
                start = time.monotonic()
                await self.look(agent)
                await asyncio.sleep((time.monotonic() - start) * _SHARE)
            await asyncio.sleep(max(0.0, _EVERY_S - (time.monotonic() - began)))

    async def look(self, agent: Agent) -> None:
        """Hold or resume the agent, depending on its current disk usage."""
        places, left = await asyncio.to_thread(self._places, agent.name)
        found = await asyncio.to_thread(
            measure, self.layout.state, places, self.quotas, left=left
        )
        why = found.problem(agent.name, self.quotas)
        before = agent.on_hold
        self.transitions.on_hold(agent, why)
        if (before is None) is (why is None):
            return
        self.controls.space_changed(agent)
        text = why or f"The files of {agent.name} are within its quotas again."
        _log.warning("%s", text)
        try:
            await self.broker.notify(OPERATOR, text)
        except HiveError as error:  # every page shows the warning anyway
            _log.warning("could not notify the operator: %s", error.message)

    def _places(self, name: str) -> tuple[tuple[Path, ...], frozenset[Path]]:
        layout = self.layout
        if name != MANAGER:
            return places(layout, name), frozenset()
        homes = frozenset(nofollow.names(layout.state, layout.agents))
        others = homes - frozenset(agent.name for agent in self.registry.all())
        left = frozenset(place for other in others for place in places(layout, other))
        return places(layout, name, homes, others), left


def places(
    layout: Layout,
    name: str,
    homes: frozenset[str] = frozenset(),
    others: frozenset[str] = frozenset(),
) -> tuple[Path, ...]:
    """Return the directories that an agent can write.

    For the manager these include the repositories in all ``homes``, and the state of
    the ``others``, which are not agents: drafts and kept state.
    """
    return (
        layout.agent_state(name),
        layout.session(name),
        *(layout.config(home) for home in sorted(homes)),
        *(layout.agent_state(home) for home in sorted(others)),
    )
