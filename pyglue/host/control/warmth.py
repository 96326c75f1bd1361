"""Which agents may keep their CLI between turns: as many as the memory allows.

A harness offers the CLI of a turn that ended well, with the memory that it holds. It is
granted while all that wait fit into the limit; for a new one the least recently used
are taken back, and under memory pressure (PSI) all of them. The harness's word is
taken for the size: a false one only moves warmth between agents, since the limits of
its container hold for whatever runs in it.
"""

import asyncio
import logging
import os
import select
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pyglue.api.agent import COOL
from pyglue.api.common import NoParams
from pyglue.api.telemetry import WarmMetrics
from pyglue.config import WarmConfig
from pyglue.host.core.agent import Agent
from pyglue.host.core.registry import Registry
from pyglue.host.core.transitions import Transitions
from pyglue.limits import MIB, WARM_BYTES

_LEAST: Final = 64 * MIB
"""What each counts at least: no CLI is smaller."""
_PRESSURE: Final = Path("/proc/pressure/memory")
_TRIGGER: Final = b"some 200000 2000000\0"
"""Tasks stalled for memory for a tenth of two seconds."""

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Warmth:
    """Grants warmth, and takes it back."""

    registry: Registry
    transitions: Transitions
    config: WarmConfig
    pressure: Path = _PRESSURE
    hits: int = field(default=0, init=False)
    misses: int = field(default=0, init=False)
    evictions: int = field(default=0, init=False)

    @property
    def limit(self) -> int:
        """Bytes that all CLIs between turns may hold together."""
        return _quarter() if self.config.memory is None else self.config.memory

    @property
    def held(self) -> int:
        """Bytes that they hold now."""
        return sum(agent.warm for agent in self._warm())

    def metrics(self) -> WarmMetrics:
        """Return what happened since hived started."""
        return WarmMetrics(
            hits=self.hits,
            misses=self.misses,
            evictions=self.evictions,
            memory_bytes=self.held,
            limit_bytes=self.limit,
        )

    def turn_began(self, agent: Agent, *, warm: bool) -> None:
        """Its CLI, if it kept one, is in use, and can not be taken back now."""
        if warm:
            self.hits += 1
        else:
            self.misses += 1
        self.transitions.warmed(agent, 0)

    def offered(self, agent: Agent, size: int) -> bool:
        """Return whether it may keep a CLI of ``size`` bytes; 0: it keeps none."""
        self.transitions.warmed(agent, 0)
        if not size:
            return False
        size = max(size, _LEAST)
        if size > min(WARM_BYTES, self.limit):
            return False
        if self.registry.paused(agent) is not None:
            return False
        for other in sorted(self._warm(), key=lambda one: one.warm_at):
            if self.held + size <= self.limit:
                break
            self._take_back(other)
        self.transitions.warmed(agent, size)
        return True

    def reported(self, agent: Agent, size: int) -> None:
        """Its harness has a CLI of ``size`` bytes that nobody granted, or has none."""
        if agent.turn is None and not self.offered(agent, size) and size:
            _tell(agent)

    def take_back_all(self) -> None:
        """End the warm CLIs of all agents."""
        for agent in tuple(self._warm()):
            self._take_back(agent)

    async def watch(self) -> None:
        """Take all back whenever memory is short; runs as long as hived does."""
        try:
            trigger = os.open(self.pressure, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            _log.info("memory pressure is not watched: %s", error.strerror)
            await asyncio.Event().wait()
            return
        changed, loop, ready = asyncio.Event(), asyncio.get_running_loop(), None
        try:
            os.write(trigger, _TRIGGER)
            ready = select.epoll()
            ready.register(trigger, select.EPOLLPRI)
            loop.add_reader(ready.fileno(), changed.set)
            while True:
                await changed.wait()
                changed.clear()
                ready.poll(0)  # it is told once: whoever looked first has heard it
                if self.held:
                    _log.warning("memory is short: ending the warm CLIs")
                    self.take_back_all()
        except OSError as error:
            _log.info("memory pressure is not watched: %s", error.strerror)
            await asyncio.Event().wait()
        finally:
            if ready is not None:
                loop.remove_reader(ready.fileno())
                ready.close()
            os.close(trigger)

    def _take_back(self, agent: Agent) -> None:
        self.evictions += 1
        self.transitions.warmed(agent, 0)
        _tell(agent)

    def _warm(self) -> Iterator[Agent]:
        return (agent for agent in self.registry.all() if agent.warm)


def _tell(agent: Agent) -> None:
    if agent.harness is not None:
        agent.harness.notify(COOL, NoParams())


def _quarter() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4
