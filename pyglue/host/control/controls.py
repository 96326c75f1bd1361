"""The operator's control of working agents: pause, cancel, compact.

Controls are stored, so they survive all restarts; they are sent to the harness after
each hello and at every change, and enforced here: a paused agent gets no messages,
begins no turn and cannot use the model. A pause takes effect in memory and at the relay
first and is stored afterwards, so it works even with a full disk. A turn running when
its agent is paused has ``grace_s`` to finish; then, or immediately with the emergency
stop, it is cut off, whatever its harness does. ``api.operator`` calls this; ``budgets``
parks through it.
"""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from typing import Final

from pyglue.api.agent import BEGIN_SESSION, COMPACT_SESSION, CONTROL, ControlParams
from pyglue.api.common import NoParams
from pyglue.api.control import Blocked, BlockReason, PauseParams
from pyglue.clock import wall_clock
from pyglue.config import OperatorLimits, RelayConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.agent import Agent
from pyglue.host.core.asking import ask
from pyglue.host.core.audit import Audit
from pyglue.host.core.blocked import blocked, code_of, refusal
from pyglue.host.core.registry import Registry
from pyglue.host.core.transitions import Transitions
from pyglue.host.core.turns import end_turn
from pyglue.jsonrpc import Connection
from pyglue.models.catalogue import Catalogue
from pyglue.store.control import Control

_CALL_S: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class Controls:
    """The operator's control of running agents."""

    registry: Registry
    transitions: Transitions
    audit: Audit
    limits: OperatorLimits
    models: Catalogue
    grace_s: float
    relay: RelayConfig
    _endings: dict[asyncio.Task[None], tuple[Agent, float]] = field(
        default_factory=dict, init=False
    )
    """Tasks ending turns of paused agents: the agent, and how long a resume helps."""

    # --- the harness ------------------------------------------------------------------

    def greet(self, agent: Agent, connection: Connection) -> None:
        """Send the current controls to a harness that has just connected."""
        connection.notify(CONTROL, self._wanted(agent))

    def park(self, agent: Agent, why: str, until: float) -> None:
        """Park the agent over its budget."""
        self.transitions.budget_reached(agent, why, until)
        self._tell(agent)

    def unpark(self, agent: Agent) -> None:
        """Resume an agent whose budget allows turns again."""
        self.transitions.budget_free(agent)
        self._tell(agent, again=True)

    def space_changed(self, agent: Agent) -> None:
        """Hold or resume the agent after a change of disk space or quota."""
        if self.registry.paused(agent) is None:
            self._resumed(agent)
        else:
            self._apply_pause(agent, "The disk is full.", now=False)

    def try_again(self, agent: Agent) -> None:
        """Make a waiting agent retry immediately."""
        self.transitions.retry_now(agent)
        self._tell(agent, again=True)

    def _wanted(self, agent: Agent, *, again: bool = False) -> ControlParams:
        return ControlParams(
            paused=self.registry.paused(agent),
            over_budget=agent.over_budget,
            again=again,
        )

    def _tell(self, agent: Agent, *, again: bool = False) -> None:
        if agent.harness is not None:
            agent.harness.notify(CONTROL, self._wanted(agent, again=again))

    def blocked(self, agent: Agent) -> Blocked | None:
        """Return why the agent runs no turn now, None if nothing blocks it."""
        now = wall_clock.moment()
        everyone = self.registry.everyone
        return blocked(
            agent, everyone, self.limits, now, models=self.models, relay=self.relay
        )

    # --- pausing ----------------------------------------------------------------------

    async def pause(self, params: PauseParams, by: str) -> None:
        """Block new turns of the agent; a running one gets its grace, or is cut off.

        Raises:
            HiveError: ``not_found``; why it cannot be stored. Even then it is in effect
                until hived stops.
        """
        agent = self.registry.get(params.agent)
        row = _paused(agent.control, by, params.reason)
        written = self.transitions.controlled(agent, row)
        self._apply_pause(agent, "The operator paused this agent.", now=params.cancel)
        self.audit.record(by, "pause", agent.name, {"reason": params.reason})
        await _written(written)

    async def resume(self, name: str, by: str) -> None:
        """Resume the agent; one that needs a login or is waiting retries now.

        Raises:
            HiveError: ``not_found``, ``paused`` while the whole hive is.
        """
        agent = self.registry.get(name)
        self.audit.record(by, "resume", agent.name, {})
        if agent.control.paused_at is not None:
            await self.transitions.controlled(agent, _resumed(agent.control))
        self._resumed(agent)
        if self.registry.hive.paused_at is not None:
            raise HiveError(
                ErrorCode.PAUSED,
                f"The whole hive is paused, including {name}. Resume the hive.",
            )

    async def pause_all(self, reason: str, by: str) -> None:
        """Stop the hive immediately: block new turns and cut off every running one.

        Raises:
            HiveError: why it cannot be stored. Even then it is in effect until hived
                stops.
        """
        row = _paused(self.registry.hive, by, reason)
        written = self.transitions.hive_controlled(row)
        for agent in self.registry.all():
            self._apply_pause(agent, "The operator paused the hive.", now=True)
        self.audit.record(by, "pause_all", None, {"reason": reason})
        await _written(written)

    async def resume_all(self, by: str) -> None:
        """Resume the hive; an agent that was paused separately stays paused."""
        self.audit.record(by, "resume_all", None, {})
        await self.transitions.hive_controlled(_resumed(self.registry.hive))
        for agent in self.registry.all():
            self._resumed(agent)

    def _resumed(self, agent: Agent) -> None:
        if self.registry.paused(agent) is None:
            self._let_finish(agent)
        self.try_again(agent)

    def _let_finish(self, agent: Agent) -> None:
        """Let the turn continue if its grace has not run out."""
        now = time.monotonic()
        for task, (of, until) in self._endings.items():
            if of is agent and now < until:
                task.cancel()

    def _apply_pause(self, agent: Agent, reason: str, *, now: bool) -> None:
        """Withhold model and messages; unless ``now``, a running turn may finish."""
        if now:
            self.transitions.cut_off(agent)
        self._tell(agent)
        if agent.turn is None:
            return
        self._let_finish(agent)  # a later pause has its own grace
        within = 0.0 if now else self.grace_s
        work = end_turn(self.transitions, agent, within=within, reason=reason)
        task = asyncio.create_task(work)
        self._endings[task] = agent, time.monotonic() + within
        task.add_done_callback(self._endings.pop)

    def check_turn(self, agent: Agent) -> None:
        """Refuse a turn of an agent that is held back.

        Raises:
            HiveError: ``paused``, ``over_budget``, ``model_not_allowed`` or
                ``rate_limited``, with the reason.
        """
        now = wall_clock.moment()
        everyone = self.registry.everyone
        found = refusal(
            agent, everyone, self.limits, now, models=self.models, relay=self.relay
        )
        if found is None:
            return
        if found.reason is BlockReason.RATE_LIMITED and found.until_at is not None:
            wait = {"retry_after_s": found.until_at - now.wall}
            raise HiveError(code_of(found), found.text, details=wait)
        spaces = (BlockReason.DISK_FULL, BlockReason.QUOTA)
        code = ErrorCode.PAUSED if found.reason in spaces else code_of(found)
        raise HiveError(code, found.text)

    def begun(self, agent: Agent) -> None:
        """Cancel a turn that began just when its agent was paused."""
        if self.registry.paused(agent) is not None:
            self._apply_pause(agent, "This agent has just been paused.", now=True)

    # --- turns ------------------------------------------------------------------------

    async def cancel(self, name: str, reason: str, by: str) -> None:
        """Cancel the running turn; its messages are queued again.

        Raises:
            HiveError: ``not_found``, ``conflict`` if no turn runs.
        """
        agent = self.registry.get(name)
        if agent.turn is None:
            raise HiveError(ErrorCode.CONFLICT, f"{name} has no running turn.")
        self.audit.record(by, "cancel", name, {"reason": reason})
        reason = reason or "The operator cancelled this turn."
        await end_turn(self.transitions, agent, within=0, reason=reason)

    async def compact(self, name: str, by: str) -> None:
        """Compact the agent's session as soon as no turn is running.

        Raises:
            HiveError: ``not_found``, ``agent_not_running``, ``paused``.
        """
        agent = self.registry.get(name)
        if self.registry.paused(agent) is not None:
            raise HiveError(
                ErrorCode.PAUSED,
                f"{name} is paused; resume it before compacting its session.",
            )
        harness = _running(agent)
        self.audit.record(by, "compact", name, {})
        await ask(name, harness, COMPACT_SESSION, NoParams(), timeout=_CALL_S)

    async def new_session(self, name: str, by: str) -> None:
        """Continue in a new session as soon as no turn is running.

        Raises:
            HiveError: ``not_found``, ``agent_not_running``.
        """
        agent = self.registry.get(name)
        harness = _running(agent)
        self.audit.record(by, "new_session", name, {})
        await ask(name, harness, BEGIN_SESSION, NoParams(), timeout=_CALL_S)


async def _written(written: Awaitable[None]) -> None:
    """Wait until a change that is already in effect is stored.

    Raises:
        HiveError: why it cannot be stored.
    """
    try:
        await written
    except HiveError as error:
        raise HiveError(
            error.code,
            "This is in effect, but could not be stored yet: it will be lost if hived "
            f"stops before then. {error.message}",
            details=error.details,
        ) from error


def _paused(row: Control, by: str, reason: str) -> Control:
    return replace(row, paused_at=time.time(), paused_by=by, pause_reason=reason)


def _resumed(row: Control) -> Control:
    return replace(row, paused_at=None, paused_by=None, pause_reason=None)


def _running(agent: Agent) -> Connection:
    """Return the harness of an agent.

    Raises:
        HiveError: ``agent_not_running``.
    """
    if agent.harness is None:
        raise HiveError(
            ErrorCode.AGENT_NOT_RUNNING,
            f"{agent.name} is not running; start it first.",
        )
    return agent.harness
