"""Keeping the hive usable when the disk is full.

The store and the audit log ask ``Disk`` for space when a write fails; it frees the
ballast. ``Space`` monitors free space: below the reserve, agents are put on hold (no
messages, no turns, nothing stored for them) and the operator is notified once. When
there is space again, the ballast is recreated and agents continue automatically.
Nothing here refuses an operator.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pyglue.config import DiskConfig
from pyglue.errors import HiveError
from pyglue.files import disk_space
from pyglue.files.disk_space import Ballast, Free
from pyglue.host.control.controls import Controls
from pyglue.host.core.audit import Audit
from pyglue.host.core.registry import Registry
from pyglue.host.core.transitions import Transitions
from pyglue.host.messages.broker import Broker
from pyglue.names import OPERATOR, SYSTEM
from pyglue.store.database import Store

_LOOK_S: Final = 5.0
"""Seconds between two checks; the kernel does not report that a disk fills up."""
_MIB: Final = 1024 * 1024
_FILES_MIN: Final = 1000
"""Agents are on hold while fewer files than this can be created."""
_log = logging.getLogger(__name__)


class Disk:
    """The state directory's file system, and the space the hive reserves on it."""

    def __init__(self, state: Path, config: DiskConfig) -> None:
        self.state = state
        size = disk_space.free(state).size
        self.reserve = min(config.reserve_mib * _MIB, size // 10)
        self._ballast = Ballast(
            state / "ballast", min(config.ballast_mib * _MIB, size // 20)
        )
        self._wake: Callable[[], None] = lambda: None

    def prepare(self) -> None:
        """Make space for a start: free the previous hived's ballast if none is left."""
        if disk_space.free(self.state).is_none:
            self._ballast.give_up()

    def listen(self, wake: Callable[[], None]) -> None:
        """Set the listener for failed writes; called from any thread."""
        self._wake = wake

    def make_space(self) -> bool:
        """Free the ballast after a failed write; return whether to retry the write."""
        self._wake()
        return self._ballast.give_up()

    def free(self) -> Free:
        """Return the free space."""
        return disk_space.free(self.state)

    def is_low(self, *, was: bool) -> bool:
        """Return whether agents must not write.

        ``was`` is the current state: lifting it takes somewhat more free space, after
        deducting what is missing of the ballast.
        """
        free = self.free()
        enough = self.reserve + self.reserve // 8 * was
        files = _FILES_MIN * (2 if was else 1)
        few = free.files is not None and free.files < files
        return few or free.bytes - self._ballast.missing * was < enough

    def refill(self) -> None:
        """Recreate the ballast."""
        if self._ballast.missing:
            self._ballast.make()


@dataclass(kw_only=True)
class Space:
    """Holds agents while the disk is full, and notifies the operator."""

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
        """Return the current warnings for the operator."""
        found = (self.registry.disk_full, self.audit.problem, self.store.problem)
        held = (agent.on_hold for agent in self.registry.all())
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
        """Hold or resume agents, depending on the free space."""
        was = self.registry.disk_full is not None
        low = await asyncio.to_thread(self.disk.is_low, was=was)
        if low:
            self.transitions.disk_full(self._sentence())
        else:
            self.transitions.disk_full(None)
            await asyncio.to_thread(self._set_aside)
        if low is not was:
            for agent in self.registry.all():
                self.controls.space_changed(agent)
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
        except HiveError as error:  # every page shows the warning anyway
            _log.warning("could not notify the operator: %s", error.message)
