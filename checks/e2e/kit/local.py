"""The local backend with agents that run one line of Python, for its own tests."""

import asyncio
import os
from pathlib import Path

from checks.kits.patience import PATIENCE_S
from checks.kits.sandbox.python import AGENT
from pyglue.config import HiveConfig, Ids
from pyglue.host.backends.base import (
    AgentSpec,
    ContainerEvent,
    ContainerEventKind,
)
from pyglue.host.backends.local import LocalBackend

WAIT = "import signal; print('up', flush=True); signal.pause()"


class Bench:
    """A backend that runs given Python instead of the harness, and what it said."""

    def __init__(self, room: Path) -> None:
        self.config = HiveConfig(
            state_dir=str(room / "state"),
            runtime_dir=str(room / "state" / "run"),
            ids=None if AGENT is None else Ids(agent=AGENT.uid, web=62002, relay=62003),
        )
        self.layout = self.config.layout
        self.events: list[ContainerEvent] = []
        self._changed = asyncio.Event()
        self._backends: list[LocalBackend] = []
        for path in (self.layout.logs, self.layout.applied_root):
            path.mkdir(parents=True)
        self.room("a")
        self.room("b")

    def room(self, name: str) -> None:
        """Make an agent's directories as hived does."""
        for path in (self.layout.agent_state(name), self.layout.session(name)):
            path.mkdir(parents=True)
            if AGENT is not None:
                os.chown(path, AGENT.uid, AGENT.gid)
        self.layout.run(name).mkdir(parents=True)

    def backend(self, code: str) -> LocalBackend:
        """Return a backend whose agents run ``code``."""
        backend = LocalBackend(self.config, program=("-c", code))
        backend.watch(self._take)
        self._backends.append(backend)
        return backend

    def _take(self, event: ContainerEvent) -> None:
        self.events.append(event)
        self._changed.set()

    async def event(self, kind: ContainerEventKind) -> ContainerEvent:
        """Wait for the next event of a kind and take it."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for event in self.events:
                    if event.kind is kind:
                        self.events.remove(event)
                        return event
                self._changed.clear()
                await self._changed.wait()

    async def said(self, backend: LocalBackend, name: str, text: str) -> None:
        """Wait until an agent has written a line."""
        child = backend._running[name].child
        async with asyncio.timeout(PATIENCE_S):
            while text not in child.lines:
                await asyncio.sleep(0.005)

    async def close(self) -> None:
        """Stop everything."""
        for backend in self._backends:
            await backend.close()


def spec(
    name: str = "a",
    *,
    manager: bool = False,
    network: bool = False,
    memory_max: int | None = None,
) -> AgentSpec:
    return AgentSpec(
        name=name,
        manager=manager,
        record=b'{"manifest":{}}',
        network=network,
        memory_max=memory_max,
        cpu_quota=50,
    )


async def run(bench: Bench, code: str, agent: AgentSpec) -> ContainerEvent:
    """Run code as an agent to its end."""
    backend = bench.backend(code)
    await backend.apply(agent)
    await backend.start(agent)
    return await bench.event(ContainerEventKind.CRASHED)
