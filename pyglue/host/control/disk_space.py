"""Keeping the hive usable when the disk is full.

``Disk`` is what store and audit log ask for room when a write fails; it frees the
ballast. ``Space`` looks at what is free: below the reserve agents are held (no message,
no turn, nothing kept for them) and the operator is told once; with room again the
ballast is made anew and the agents go on by themselves. Nothing here refuses an
operator.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pyglue import diskspace
from pyglue.config import DiskConfig
from pyglue.diskspace import Ballast, Free
from pyglue.errors import HiveError
from pyglue.host.control.controls import Controls
from pyglue.host.core.audit import Audit
from pyglue.host.core.registry import Registry
from pyglue.host.core.transitions import Transitions
from pyglue.host.messages.broker import Broker
from pyglue.names import OPERATOR, SYSTEM
from pyglue.store.database import Store

_LOOK_S: Final = 5.0
"""Seconds between two looks; the kernel tells nobody that a disk fills up."""
_MIB: Final = 1024 * 1024
_FILES_MIN: Final = 1000
"""Agents are held while fewer files than these can be made."""
_log = logging.getLogger(__name__)


class Disk:
    """The state directory's file system, and what the hive has set aside on it."""

    def __init__(self, state: Path, config: DiskConfig) -> None:
        self.state = state
        size = diskspace.free(state).size
        self.reserve = min(config.reserve_mib * _MIB, size // 10)
        self._ballast = Ballast(
            state / "ballast", min(config.ballast_mib * _MIB, size // 20)
        )
        self._wake: Callable[[], None] = lambda: None

    def prepare(self) -> None:
        """Have room for a start: what an earlier hived set aside, if there is none."""
        if diskspace.free(self.state).is_none:
            self._ballast.give_up()

    def listen(self, wake: Callable[[], None]) -> None:
        """Set who hears, from any thread, that a write found no room."""
        self._wake = wake

    def make_room(self) -> bool:
        """A write found no room: tell whether it may be tried again."""
        self._wake()
        return self._ballast.give_up()

    def free(self) -> Free:
        """Return what is free."""
        return diskspace.free(self.state)

    def is_low(self, *, was: bool) -> bool:
        """Return whether agents must not write; ending that takes somewhat more space.

        The ballast is made up for before agents may use what is free.
        """
        free = self.free()
        enough = self.reserve + self.reserve // 8 * was
        files = _FILES_MIN * (2 if was else 1)
        few = free.files is not None and free.files < files
        return few or free.bytes - self._ballast.missing * was < enough

    def refill(self) -> None:
        """Make the ballast again."""
        if self._ballast.missing:
            self._ballast.make()


@dataclass(kw_only=True)
class Space:
    """Holds agents while there is no room, and tells the operator."""

    disk: Disk
    store: Store
    registry: Registry
    transitions: Transitions
    broker: Broker
    controls: Controls
    audit: Audit
    _changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def __post_init__(self) -> None:
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._changed.set)

        self.disk.listen(wake)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what the operator has to know now."""
        found = (self.registry.disk_full, self.audit.problem, self.store.problem)
        held = (agent.held for agent in self.registry.all())
        return tuple(text for text in (*found, *held) if text is not None)

    async def watch(self) -> None:
        """Check at intervals, and after a failed write; runs as long as hived does."""
        while True:
            self._changed.clear()
            await self.look()
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def look(self) -> None:
        """Hold agents, or let them go on, by what is free now."""
        was = self.registry.disk_full is not None
        low = await asyncio.to_thread(self.disk.is_low, was=was)
        if low:
            self.transitions.disk_full(self._sentence())
        else:
            self.transitions.disk_full(None)
            await asyncio.to_thread(self._set_aside)
        if low is not was:
            for agent in self.registry.all():
                self.controls.room(agent)
            await self._tell(low=low)
        self.audit.flush()

    def _set_aside(self) -> None:
        self.disk.refill()
        self.store.keep_reserve()
        self.audit.keep_reserve()

    def _sentence(self) -> str:
        free = self.disk.free()
        return (
            f"The disk is full: {free.bytes // _MIB} MiB are free in the hive's state "
            f"directory, and agents need {self.disk.reserve // _MIB} MiB. They are "
            "on hold and continue automatically once there is enough free space: "
            "free some."
        )

    async def _tell(self, *, low: bool) -> None:
        text = self.registry.disk_full or "There is enough disk space again."
        _log.warning("%s", text)
        free = self.disk.free().bytes // _MIB
        what = "disk_full" if low else "disk_room"
        self.audit.record(SYSTEM, what, None, {"free_mib": free})
        try:
            await self.broker.notify(OPERATOR, text)
        except HiveError as error:  # it is a warning on every page all the same
            _log.warning("could not notify the operator: %s", error.message)
