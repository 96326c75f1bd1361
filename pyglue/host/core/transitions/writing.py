"""The base of all transitions: writes an agent's live state and reports the change."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from pyglue.api.common import AgentState
from pyglue.api.event_values import AgentChange
from pyglue.api.events import AgentChanged, AgentStateChanged
from pyglue.host.core.agent import Agent, Everyone
from pyglue.host.core.registry import Registry
from pyglue.store.database import Store

T = TypeVar("T", Agent, Everyone)


@dataclass(kw_only=True)
class Writing:
    """Writes the agents of ``registry``; only transitions call its methods."""

    store: Store
    registry: Registry
    _listeners: list[Callable[[Agent], None]] = field(default_factory=list, init=False)

    def listen(self, listener: Callable[[Agent], None]) -> None:
        """Call ``listener`` with each changed agent; it must not block."""
        self._listeners.append(listener)

    def _state(
        self,
        agent: Agent,
        state: AgentState,
        detail: str | None = None,
        since: float | None = None,
    ) -> None:
        """Set and publish a state; a new one begins now unless ``since`` says when."""
        same = (agent.state, agent.detail) == (state, detail) and since is None
        at = now = time.time()
        if since is not None:
            at = max(min(since, now), agent.harness_at)
        elif agent.state is state:
            at = agent.since
        changed = replace(agent, state=state, detail=detail, since=at, late=None)
        self._set(agent, changed)
        if not same:
            event = AgentStateChanged(state=state, since_at=at, detail=detail)
            self.store.emit(agent.name, event)

    def _emit(self, agent: Agent, what: AgentChange) -> None:
        event = AgentChanged(what=what)
        self.store.emit(agent.name, event)

    def _set(self, agent: Agent, now: Agent) -> None:
        """Give ``agent`` the values of ``now`` and report the change."""
        self._become(agent, now)
        if agent.cut_off and self.registry.paused(agent) is None:
            self._become(agent, replace(agent, cut_off=False))
        if agent.parked is not None and self.registry.halted(agent) is not None:
            agent.parked.end()
            self._become(agent, replace(agent, parked=None))
        for listener in self._listeners:
            listener(agent)

    @staticmethod
    def _become(before: T, now: T) -> None:
        """Give ``before`` the values of ``now``, without reporting the change."""
        vars(before).update(vars(now))

    def _all(self) -> None:
        """Report a change that concerns every agent."""
        for agent in self.registry.all():
            self._set(agent, agent)
