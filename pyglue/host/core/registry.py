"""The agents as hived knows them now: what is pinned, what runs, who is connected.

Kept in memory beside the store so that the hot paths (a send's policy, a harness's
state) read nothing. Only hived's event loop touches it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from pyglue.api.common import AgentState, Role
from pyglue.api.events import AgentStateChanged
from pyglue.display import said
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.backends.base import AgentSpec
from pyglue.host.core.token_bucket import TokenBucket
from pyglue.jsonrpc import Connection
from pyglue.manifest import PinnedRecord, decode, memory_bytes
from pyglue.names import MANAGER
from pyglue.store import agents as rows
from pyglue.store.agents import AgentRow
from pyglue.store.control import Control
from pyglue.store.database import Store

P = TypeVar("P")
R = TypeVar("R")

_HARNESS_STATES: Final = frozenset(
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


_REPORTS: Final = (100.0, 2.0)
"""States that a harness may report at once, and a second for as long as it likes."""
_TURNS: Final = (60.0, 2.0)
"""Turns that may begin at once, and a second: a real one takes longer."""
_LATE_S: Final = 1.0
_READS: Final = 2
"""Reads of the store for one agent that are queued at once, before all others'."""
_Report = tuple[AgentState, str | None, float | None]

HIVE: Final = "hive"
"""The whole of it, where an agent's name would stand."""
_NOTHING: Final = Control(agent="")


@dataclass
class Agent:
    """One agent's present. ``applied`` is what the next hello must have loaded."""

    name: str
    role: Role
    wanted: bool
    approval: int | None = None
    commit: str | None = None
    record: PinnedRecord | None = None
    problem: str | None = None
    applied: PinnedRecord | None = None
    state: AgentState = AgentState.STOPPED
    since: float = field(default_factory=time.time)
    detail: str | None = None
    harness: Connection | None = None
    harness_at: float = 0.0
    """When it said hello: nothing that it reports is older."""
    turn: int | None = None
    turn_model: str | None = None
    """The model that hived chose for the running turn, else that of the last one.

    Only that of a running turn decides anything: what the store has of earlier turns
    may be a harness's own word.
    """
    control: Control = field(default=_NOTHING)
    held: str | None = None
    """Why the agent waits for room on the disk: its files are too large or too many."""
    over_budget: str | None = None
    """Why no turn may begin until a budget has room again."""
    cut_off: bool = False
    """The running turn has had its time to end after a pause, or gets none."""
    refused: str | None = None
    """Which daily limit refused the newest request, if one did."""
    provider_status: int | None = None
    """The HTTP status of the provider's newest answer, as the relay saw it."""
    retry_at: float | None = None
    """Until when the model's side asked to wait."""
    reports: TokenBucket = field(default_factory=lambda: TokenBucket(*_REPORTS))
    turns: TokenBucket = field(default_factory=lambda: TokenBucket(*_TURNS))
    reading: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(_READS)
    )
    """Held while the store reads for it: the operator's reads are not behind many."""
    late: _Report | None = None
    """What it reported too fast to be told at once."""

    def __post_init__(self) -> None:
        if self.control is _NOTHING:
            self.control = Control(agent=self.name)

    @property
    def model(self) -> str:
        """What the next turn uses: the operator's choice, else the manifest's."""
        record = self.applied or self.record
        manifest = "" if record is None else record.typed.model
        return self.control.model or manifest

    def policy(self) -> PinnedRecord:
        """Return the record whose rules hold now.

        Raises:
            HiveError: ``agent_not_running`` before anything was applied.
        """
        record = self.applied or self.record
        if record is None:
            raise HiveError(
                ErrorCode.AGENT_NOT_RUNNING, f"{self.name} has not been deployed yet."
            )
        return record

    def spec(self, record: PinnedRecord) -> AgentSpec:
        """Return what a backend needs to run this agent under ``record``."""
        limits = record.typed.limits
        memory = limits.memory_max
        return AgentSpec(
            name=self.name,
            manager=self.role is Role.MANAGER,
            record=record.encode(),
            network=record.typed.network,
            memory_max=None if memory is None else memory_bytes(memory),
            cpu_quota=limits.cpu_quota,
            system=record.system,
        )


def with_room(
    registry: "Registry", agent: Agent, call: Callable[[P], Awaitable[R]]
) -> Callable[[P], Awaitable[R]]:
    """Return ``call`` as it is refused while the disk is full: it keeps something."""

    async def checked(params: P) -> R:
        registry.check_room(agent)
        return await call(params)

    return checked


class Registry:
    """All agents by name."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listeners: list[Callable[[], None]] = []
        self._agents: dict[str, Agent] = {}
        self._absent: dict[str, str] = {}
        self.hive = Control(agent=HIVE)
        """What the operator wants of all agents."""
        self.disk_full: str | None = None
        """Why all agents wait for free disk space; set by ``control.disk_space``."""

    def listen(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` whenever an agent comes or goes; it must not block."""
        self._listeners.append(listener)

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()

    async def load(self) -> None:
        """Read the agents from the store."""
        for row in await self._store.read(rows.all_agents):
            self.take(row)

    def take(self, row: AgentRow) -> Agent:
        """Return the agent of a stored row, made if it is not known."""
        self._absent.pop(row.name, None)
        agent = self._agents.get(row.name)
        if agent is None:
            agent = self._agents[row.name] = Agent(
                name=row.name,
                role=row.role,
                wanted=row.wanted,
                approval=row.approval,
                commit=row.commit,
                record=None if row.record is None else decode(row.record),
                problem=row.problem,
            )
            self._tell()
        return agent

    def forget(self, name: str) -> None:
        """Let go of an agent that was destroyed; again is no error."""
        if self._agents.pop(name, None) is not None:
            self._tell()

    def absent(self, name: str, why: str | None) -> None:
        """Set what those hear who ask for a name that is no agent, or nothing more."""
        if why is None:
            self._absent.pop(name, None)
        else:
            self._absent[name] = why

    def all(self) -> tuple[Agent, ...]:
        """Return the agents, the manager first, then by name."""
        return tuple(
            sorted(
                self._agents.values(),
                key=lambda agent: (agent.role is not Role.MANAGER, agent.name),
            )
        )

    def get(self, name: str) -> Agent:
        """Return an agent.

        Raises:
            HiveError: ``not_found`` with the names there are.
        """
        agent = self._agents.get(name)
        if agent is None and name in self._absent:
            raise HiveError(ErrorCode.NOT_FOUND, self._absent[name])
        if agent is None:
            known = ", ".join(sorted(self._agents)) or "none"
            raise HiveError(
                ErrorCode.NOT_FOUND,
                f"There is no agent {name[:40]!a}. Agents: {known[:400]}.",
            )
        return agent

    def find(self, name: str) -> Agent | None:
        """Return an agent, None if there is no such agent."""
        return self._agents.get(name)

    def paused(self, agent: Agent) -> str | None:
        """Return why the agent is paused, None if it is not.

        By the operator first, then for want of room on the disk.
        """
        for row, what in ((self.hive, "the hive"), (agent.control, agent.name)):
            if row.paused_at is not None:
                why = f": {row.pause_reason}" if row.pause_reason else "."
                return f"{row.paused_by} paused {what}{why}"
        return self.disk_full or agent.held

    def check_room(self, agent: Agent) -> None:
        """Refuse what an agent wants to be kept while the disk is full.

        Raises:
            HiveError: ``disk_full`` with the reason.
        """
        why = self.disk_full or agent.held
        if why is not None:
            raise HiveError(ErrorCode.DISK_FULL, why)

    def pause_of(self, agent: Agent) -> tuple[float | None, float | None, bool]:
        """Return which pause holds, to tell it from a later one."""
        full = (self.disk_full or agent.held) is not None
        return self.hive.paused_at, agent.control.paused_at, full

    def halted(self, agent: Agent) -> str | None:
        """Return why the agent gets no message and no model now, None if it does.

        A turn that runs when the agent is paused may end first, unless it is cut off.
        """
        why = self.paused(agent)
        return why if agent.turn is None or agent.cut_off else None

    @staticmethod
    def role(name: str) -> Role:
        """Return the role that goes with a name."""
        return Role.MANAGER if name == MANAGER else Role.AGENT

    def set_state(
        self,
        agent: Agent,
        state: AgentState,
        detail: str | None = None,
        since: float | None = None,
    ) -> None:
        """Change what an agent is doing, and tell everyone.

        ``since`` None is now, if it is another state than before.
        """
        agent.late = None
        if (agent.state, agent.detail) == (state, detail) and since is None:
            return
        now = time.time()
        if since is not None:
            agent.since = max(min(since, now), agent.harness_at)
        elif agent.state is not state:
            agent.since = now
        agent.state, agent.detail = state, detail
        changed = AgentStateChanged(
            state=state.value, since_at=agent.since, detail=detail
        )
        self._store.post(lambda tx: tx.emit(agent.name, changed))

    def report_state(
        self,
        agent: Agent,
        state: AgentState,
        detail: str | None,
        since: float | None = None,
    ) -> None:
        """Take a state that the harness reports; the host's own it cannot claim.

        Nor that it is paused or over its budget where hived does not know of it, and
        why it is has hived's words; all others are quoted. Of states that come too
        fast the newest is told, a little later.
        """
        if state not in _HARNESS_STATES or agent.harness is None:
            return
        shown = None if detail is None else said(detail)
        if state is AgentState.PAUSED:
            shown = self.paused(agent)
            if shown is None:
                return
        if state is AgentState.OVER_BUDGET and agent.over_budget is None:
            state = AgentState.RETRYING
        elif state is AgentState.OVER_BUDGET:
            shown = agent.over_budget
        if agent.reports.take(1, time.monotonic()):
            self.set_state(agent, state, shown, since)
            return
        if agent.late is None:
            loop = asyncio.get_running_loop()
            loop.call_later(_LATE_S, self._report_late, agent)
        agent.late = state, detail, since

    def _report_late(self, agent: Agent) -> None:
        if agent.late is not None:
            late, agent.late = agent.late, None
            self.report_state(agent, *late)
