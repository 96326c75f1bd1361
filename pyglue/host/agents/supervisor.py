"""Keeping agents running: at hived's start and after crashes, with notifications.

The backend reports every start and exit of a container. After an unrequested exit the
manager is notified and the agent restarted: by systemd if it does that, otherwise by
start operations with increasing delays. A container that was not started by hived must
also send a hello in time, or it is restarted.
"""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from pyglue.api.event_values import NotificationKind
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.agents.container_limits import within_operator_limits
from pyglue.host.agents.lifecycle import Lifecycle
from pyglue.host.backends.base import Backend, ContainerEvent, ContainerEventKind
from pyglue.host.core.agent import Agent, spec_of
from pyglue.host.core.registry import Registry
from pyglue.host.core.transitions import Transitions
from pyglue.host.messages.notifications import Notifications
from pyglue.limits import RESTARTS_S

_SHOWN: Final = 12
"""Characters of an event's id shown in messages."""
_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Supervisor:
    """Starts agents at hived's start, restarts and notifies after crashes."""

    registry: Registry
    transitions: Transitions
    lifecycle: Lifecycle
    backend: Backend
    notifications: Notifications
    config: HiveConfig
    _closed: bool = field(default=False, init=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _restarts: dict[str, asyncio.Task[None]] = field(default_factory=dict, init=False)
    _expected: dict[str, asyncio.Event] = field(default_factory=dict, init=False)
    _start: Callable[[str], Awaitable[bool]] = field(init=False)

    def __post_init__(self) -> None:
        self._start = _nobody_starts
        self.backend.watch(self._on_container)
        self.lifecycle.listen(well=self._on_well, lost=self._on_lost)

    def connect(self, start: Callable[[str], Awaitable[bool]]) -> None:
        """Set the function that runs a start operation and returns its success."""
        self._start = start

    async def close(self) -> None:
        """Stop restarting agents."""
        self._closed = True
        tasks = [*self._tasks, *self._restarts.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def forget(self, name: str) -> None:
        """Stop restarting a destroyed agent."""
        task = self._restarts.get(name)
        if task is not None:
            task.cancel()

    # --- hived's start ----------------------------------------------------------------

    async def start_wanted(self, interrupted: frozenset[str]) -> None:
        """Reattach to running containers, and start every other wanted agent.

        Agents with an ``interrupted`` operation are left to it first: it may deploy the
        agent, and may be past the step that starts it.
        """
        adopted = await self._adopt(interrupted)
        for agent in self.registry.all():
            if agent.record is not None and agent.name not in interrupted:
                await self.lifecycle.sockets.open(agent)

        async def start(agent: Agent) -> None:
            if not agent.wanted or not (agent.record or agent.name in interrupted):
                return
            if agent.name in adopted and await self._arrives(agent):
                return
            well = await self._start(agent.name)
            if not well and agent.record is not None:
                self._bring_back(agent)

        await asyncio.gather(*(start(agent) for agent in self.registry.all()))

    async def _adopt(self, interrupted: frozenset[str]) -> frozenset[str]:
        records = {
            agent.name: agent.record
            for agent in self.registry.all()
            if agent.record is not None and agent.name not in interrupted
        }
        agents = {name: self.registry.get(name) for name in records}
        specs = tuple(
            within_operator_limits(spec_of(name, record), self.config)
            for name, record in records.items()
        )
        adopted = set(await self.backend.adopt(specs))
        for name in sorted(adopted):
            agent, record = agents[name], records[name]
            why = self.lifecycle.specs.blocked(record)
            if why is not None:
                adopted.discard(name)
                await self.lifecycle.park(agent, why)
            elif agent.wanted:
                await self.lifecycle.adopt(agent, record)
            else:
                await self.lifecycle.stop(agent)
        return frozenset(adopted)

    # --- the backend's events ---------------------------------------------------------

    def _on_container(self, event: ContainerEvent) -> None:
        agent = self.registry.find(event.agent)
        if agent is None:
            return
        match event.kind:
            case ContainerEventKind.STARTED:
                if not self.lifecycle.moving(agent) and agent.wanted:
                    self._spawn(self._came_up(agent))
            case ContainerEventKind.STOPPED:
                if not event.asked and not self.lifecycle.ended(agent, event):
                    self._stopped(agent, event)
            case ContainerEventKind.CRASHED | ContainerEventKind.GAVE_UP:
                if not self.lifecycle.ended(agent, event):
                    self._crashed(agent, event)

    def _stopped(self, agent: Agent, event: ContainerEvent) -> None:
        """Stopped from outside the hive, possibly on purpose: do not restart it."""
        self.lifecycle.drop_harness(agent)
        self.transitions.stopped(agent, event.reason)
        text = (
            f"{agent.name} stopped. {event.reason} It stays stopped until it is "
            "started."
        )
        self._spawn(self._give(NotificationKind.STOPPED, agent, event, text))

    def _crashed(self, agent: Agent, event: ContainerEvent) -> None:
        self.lifecycle.drop_harness(agent)
        verb = "crashed"
        if event.kind is ContainerEventKind.GAVE_UP:
            verb = "crashed and is no longer restarted automatically"
        text = f"{agent.name} {verb}. {event.reason}"
        # Set it immediately: the agent may recover before the rest is written.
        problem = "\n".join((text, *event.log_tail))
        self.transitions.crashed(agent, event.reason, problem)
        self._spawn(self._give(NotificationKind.CRASHED, agent, event, text))
        if not event.restarting:
            self._bring_back(agent)

    async def _give(
        self, kind: NotificationKind, agent: Agent, event: ContainerEvent, text: str
    ) -> None:
        """Notify at once; the end of the log follows if it has to be fetched."""
        data = {"reason": event.reason}
        key, name = None, ""
        if event.id is not None:
            key = f"{event.kind.value}:{agent.name}:{event.id}"
            name = f" (event {event.id[:_SHOWN]})"
        log = "\n".join(event.log_tail)
        whole = f"{text}{name}" + (f"\n{log}" if log else "")
        if not await self.notifications.give(
            kind, agent.name, whole, key=key, data=data
        ):
            return
        if kind is NotificationKind.CRASHED and not log:
            await self._give_log(agent, name)

    async def _give_log(self, agent: Agent, name: str) -> None:
        log = "\n".join(await self.lifecycle.log_tail(agent))
        if log:
            text = f"The log of {agent.name}{name} ends with:\n{log}"
            await self.notifications.add(NotificationKind.CRASHED, agent.name, text)

    # --- recovery ---------------------------------------------------------------------

    def _on_well(self, agent: Agent) -> None:
        arrived = self._expected.get(agent.name)
        if arrived is not None:
            arrived.set()
        if agent.problem is not None:
            self._spawn(self._recovered(agent))

    def _on_lost(self, agent: Agent) -> None:
        """The harness disconnected; its container may restart it."""
        if agent.wanted and not self.lifecycle.moving(agent):
            self._spawn(self._came_up(agent))

    async def _recovered(self, agent: Agent) -> None:
        await self.transitions.problem_noted(agent, None)
        await self.notifications.give(
            NotificationKind.STARTED,
            agent.name,
            f"{agent.name} is running again and healthy.",
        )

    async def _came_up(self, agent: Agent) -> None:
        """Restart a running container whose harness does not connect in time."""
        if await self._arrives(agent) or self.lifecycle.moving(agent):
            return
        if self.backend.running(agent.name):
            self._bring_back(agent)

    async def _arrives(self, agent: Agent) -> bool:
        """Wait for the harness of a running container; return whether it said hello."""
        if agent.harness is not None:
            return True
        arrived = self._expected.setdefault(agent.name, asyncio.Event())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.config.timeouts.health_s):
                await arrived.wait()
        self._expected.pop(agent.name, None)
        if not arrived.is_set():
            _log.warning("%s is running, but its harness did not connect", agent.name)
        return arrived.is_set()

    def _bring_back(self, agent: Agent) -> None:
        if self._parked(agent):
            return  # until the limits change, which requires a restart of hived
        if agent.wanted and agent.name not in self._restarts:
            task = asyncio.create_task(self._try_again(agent))
            self._restarts[agent.name] = task
            task.add_done_callback(lambda _: self._restarts.pop(agent.name, None))

    def _parked(self, agent: Agent) -> bool:
        record = agent.record
        return record is not None and self.lifecycle.specs.blocked(record) is not None

    async def _try_again(self, agent: Agent) -> None:
        """Retry a start, with growing delays, until it succeeds or is not wanted."""
        for pause in itertools.chain(RESTARTS_S, itertools.repeat(RESTARTS_S[-1])):
            await asyncio.sleep(pause)
            if not agent.wanted or agent.harness is not None:
                return
            if await self._start(agent.name):
                return

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if self._closed:
            work.close()
            return
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _nobody_starts(name: str) -> bool:
    raise HiveError(ErrorCode.INTERNAL, f"No supervisor is connected to start {name}.")
