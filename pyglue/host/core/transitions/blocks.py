"""Transitions for what blocks an agent: the operator, limits, disk, the provider."""

from collections.abc import Awaitable
from dataclasses import dataclass, replace

from pyglue.api.event_values import AgentChange
from pyglue.clock.wall_clock import Moment
from pyglue.host.core.agent import Agent
from pyglue.host.core.transitions.writing import Writing
from pyglue.store import control as control_rows
from pyglue.store.control import Control


@dataclass(kw_only=True)
class BlockTransitions(Writing):
    """Pauses and other controls, budgets, disk space, the provider's responses."""

    def controlled(self, agent: Agent, row: Control) -> Awaitable[None]:
        """The operator changed its controls: a pause, a model, more budget."""
        self._set(agent, replace(agent, control=row))
        return self.store.write(
            lambda tx: control_rows.put(tx, agent.control), keep=True
        )

    def hive_controlled(self, row: Control) -> Awaitable[None]:
        """The operator changed the controls of the whole hive."""
        everyone = self.registry.everyone
        self._become(everyone, replace(everyone, control=row))
        self._all()
        return self.store.write(
            lambda tx: control_rows.put(tx, everyone.control), keep=True
        )

    def cut_off(self, agent: Agent) -> None:
        """The running turn of a paused agent has used up its time to finish."""
        self._set(agent, replace(agent, cut_off=True))

    def on_hold(self, agent: Agent, why: str | None) -> None:
        """Its files are too large or too many; None if they no longer are."""
        if why != agent.on_hold:
            self._set(agent, replace(agent, on_hold=why))
            self._emit(agent, AgentChange.ON_HOLD)

    def disk_full(self, why: str | None) -> None:
        """All agents are on hold until there is free disk space; None lifts that."""
        everyone = self.registry.everyone
        self._become(everyone, replace(everyone, disk_full=why))
        self._all()

    def budget_reached(self, agent: Agent, why: str, until: float) -> None:
        """No turn may begin until a budget allows it, at ``until`` at the latest."""
        self._set(agent, replace(agent, over_budget=why, budget_until=until))
        self._emit(agent, AgentChange.BUDGET)

    def budget_free(self, agent: Agent) -> None:
        """A budget allows turns again."""
        self._set(
            agent, replace(agent, over_budget=None, budget_until=None, refused=None)
        )
        self._emit(agent, AgentChange.BUDGET)

    def request_judged(self, agent: Agent, refused: str | None) -> None:
        """Its latest request to the model was allowed, or refused by a daily limit."""
        self._become(agent, replace(agent, refused=refused))

    def provider_answered(
        self, agent: Agent, status: int, retry_at: Moment | None
    ) -> None:
        """The provider answered a request, and may have asked us to back off."""
        retry_at = agent.retry_at if retry_at is None else retry_at
        self._become(agent, replace(agent, provider_status=status, retry_at=retry_at))

    def back_off(self, agent: Agent, retry_at: Moment) -> None:
        """Another agent on the same credentials was told to back off until then."""
        self._become(agent, replace(agent, retry_at=retry_at))

    def retry_now(self, agent: Agent) -> None:
        """It no longer has to wait for the provider."""
        self._become(agent, replace(agent, retry_at=None))
