"""Transitions of an agent's container and of its harness."""

import asyncio
import time
from dataclasses import dataclass, replace
from typing import Final

from pyglue.api.common import AgentState
from pyglue.api.turns import StateParams
from pyglue.host.core.agent import Agent
from pyglue.host.core.transitions.turns import TurnTransitions
from pyglue.jsonrpc import Connection
from pyglue.manifest.record import PinnedRecord
from pyglue.store import agents as rows
from pyglue.store import leases
from pyglue.store.database import Tx
from pyglue.text.display import in_quotes

_REPORTED: Final = frozenset(
    {
        AgentState.IDLE,
        AgentState.THINKING,
        AgentState.COMPACTING,
        AgentState.RATE_LIMITED,
        AgentState.NEEDS_LOGIN,
        AgentState.PAUSED,
        AgentState.OVER_BUDGET,
        AgentState.NO_CREDIT,
        AgentState.DISK_FULL,
        AgentState.RETRYING,
    }
)
"""States that a harness may report; only hived sets the others."""
_LATE_S: Final = 1.0


@dataclass(kw_only=True)
class HarnessTransitions(TurnTransitions):
    """An agent starts, connects, reports its state, disconnects and stops.

    A turn is lost with its harness, so these include the transitions of turns.
    """

    def starting(
        self, agent: Agent, record: PinnedRecord, detail: str | None = None
    ) -> None:
        """Its container starts with ``record``; its harness has yet to say hello."""
        self._set(agent, replace(agent, applied=record))
        self._state(agent, AgentState.STARTING, detail)

    def harness_connected(
        self, agent: Agent, connection: Connection, problem: str | None
    ) -> None:
        """Its harness said hello; a turn of an earlier harness is lost."""
        self.turn_lost(agent)
        now = replace(agent, harness=connection, harness_at=time.time(), warm=0)
        self._set(agent, now)
        state = AgentState.IDLE if problem is None else AgentState.FAILED
        self._state(agent, state, problem)

    def harness_lost(self, agent: Agent) -> None:
        """Its harness disconnected, which loses the running turn."""
        self._set(agent, replace(agent, harness=None, warm=0))
        self.turn_lost(agent)

    def harness_expected(self, agent: Agent, why: str) -> None:
        """Its container is still running, so its harness should reconnect."""
        self._state(agent, AgentState.STARTING, why)

    def stopping(self, agent: Agent) -> None:
        """Its container is being stopped."""
        self._state(agent, AgentState.STOPPING)

    def stopped(self, agent: Agent, why: str | None = None) -> None:
        """Its container is not running."""
        self._state(agent, AgentState.STOPPED, why)

    def failed(self, agent: Agent, why: str) -> None:
        """It did not start."""
        self._state(agent, AgentState.FAILED, why)

    def crashed(self, agent: Agent, why: str, problem: str) -> None:
        """Its container exited unexpectedly."""
        self._state(agent, AgentState.FAILED, why)
        self._set(agent, replace(agent, problem=problem))

        def write(tx: Tx) -> None:
            rows.set_problem(tx, agent.name, agent.problem)
            leases.explain(tx, agent.name, why)

        self.store.post(write)

    def state_reported(self, agent: Agent, report: StateParams) -> None:
        """Its harness reports its state; it cannot claim states that only hived sets.

        Nor can it claim to be paused or over budget unless hived agrees; the reason is
        then hived's own. All other details are quoted. If reports arrive too fast, the
        latest is published after a short delay.
        """
        state, detail = report.state, report.detail
        if state not in _REPORTED or agent.harness is None:
            return
        shown = None if detail is None else in_quotes(detail)
        if state is AgentState.PAUSED:
            shown = self.registry.paused(agent)
            if shown is None:
                return
        if state is AgentState.OVER_BUDGET and agent.over_budget is None:
            state = AgentState.RETRYING
        elif state is AgentState.OVER_BUDGET:
            shown = agent.over_budget
        if agent.reports.take(1, time.monotonic()):
            self._state(agent, state, shown, report.since_at)
            return
        if agent.late is None:
            loop = asyncio.get_running_loop()
            loop.call_later(_LATE_S, self._report_late, agent)
        self._become(agent, replace(agent, late=report))

    def _report_late(self, agent: Agent) -> None:
        late = agent.late
        if late is not None:
            self._become(agent, replace(agent, late=None))
            self.state_reported(agent, late)
