"""Which agents may keep a warm CLI between turns: as many as the memory limit allows.

After a successful turn, a harness offers to keep its CLI, and reports its memory use.
hived grants this while all warm CLIs fit into the limit. The least recently used ones
are evicted to make space, and all of them under memory pressure (PSI). The harness's
size is trusted: a false one only shifts warm CLIs between agents, since the container's
limits apply to everything in it.
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
from pyglue.api.metrics import WarmMetrics
from pyglue.config import WarmConfig
from pyglue.host.core.agent import Agent
from pyglue.host.core.registry import Registry
from pyglue.host.core.transitions import Transitions
from pyglue.limits import MIB, WARM_BYTES

_LEAST: Final = 64 * MIB
"""The minimum size that each counts for: no CLI is smaller."""
_PRESSURE: Final = Path("/proc/pressure/memory")
_TRIGGER: Final = b"some 200000 2000000\0"
"""PSI trigger: tasks stalled on memory for 200 ms within 2 s."""

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Warmth:
    """Grants and evicts warm CLIs."""

    registry: Registry
    transitions: Transitions
    config: WarmConfig
    pressure: Path = _PRESSURE
    hits: int = field(default=0, init=False)
    misses: int = field(default=0, init=False)
    evictions: int = field(default=0, init=False)

    @property
    def limit(self) -> int:
        """Memory limit in bytes for all warm CLIs together."""
        return _quarter() if self.config.memory is None else self.config.memory

    @property
    def held(self) -> int:
        """Memory in bytes that warm CLIs use now."""
        return sum(agent.warm for agent in self._warm())

    def metrics(self) -> WarmMetrics:
        """Return the metrics since hived started."""
        return WarmMetrics(
            hits=self.hits,
            misses=self.misses,
            evictions=self.evictions,
            memory_bytes=self.held,
            limit_bytes=self.limit,
        )

    def turn_began(self, agent: Agent, *, warm: bool) -> None:
        """Its warm CLI, if it kept one, is now in use and cannot be evicted."""
        if warm:
            self.hits += 1
        else:
            self.misses += 1
        self.transitions.warmed(agent, 0)

    def offered(self, agent: Agent, size: int) -> bool:
        """Return whether it may keep a CLI of ``size`` bytes; 0: it offers none."""
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
        """Its harness reports an ungranted CLI of ``size`` bytes; 0: none."""
        if agent.turn is None and not self.offered(agent, size) and size:
            _tell(agent)

    def take_back_all(self) -> None:
        """Evict the warm CLIs of all agents."""
        for agent in tuple(self._warm()):
            self._take_back(agent)

    async def watch(self) -> None:
        """Evict all whenever memory is short; runs as long as hived does."""
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
                ready.poll(0)  # consume the event, which is reported only once
                if self.held:
                    _log.warning("memory is short: evicting all warm CLIs")
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
