"""One agent's live state: its deployment, connection and turn, and what blocks it.

Read-only: only ``transitions`` changes it. For all other modules the classes are
frozen, in the types and at run time.
"""

import asyncio
import time
import uuid
from dataclasses import dataclass, field
from typing import Final

from pyglue.api.common import AgentState, Role
from pyglue.api.messages import Message
from pyglue.api.turns import StateParams
from pyglue.clock.wall_clock import Moment
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.backends.base import AgentSpec
from pyglue.host.core.token_bucket import TokenBucket
from pyglue.jsonrpc import Connection
from pyglue.manifest import exposed_secrets
from pyglue.manifest.record import PinnedRecord, memory_bytes
from pyglue.names import MANAGER
from pyglue.store.control import Control

HIVE: Final = "hive"
"""The name of the control row that applies to all agents."""
_NOTHING: Final = Control(agent=HIVE)
REPORTS: Final = (100.0, 2.0)
"""Rate of state reports from a harness: burst, then reports per second."""
TURNS: Final = (60.0, 2.0)
"""Rate of turn starts: burst, then turns per second. Real turns take longer."""
READS: Final = 2
"""Concurrent store reads per agent."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Agent:
    """One agent's live state. Compared by identity: a restored agent is a new one."""

    name: str
    role: Role
    control: Control
    """The operator's settings: pause, model, account, raised budgets."""
    wanted: bool = True
    """Whether it should run."""
    approval: int | None = None
    commit: str | None = None
    record: PinnedRecord | None = None
    """The deployed record."""
    applied: PinnedRecord | None = None
    """The record its container was started with; the next hello must name it."""
    problem: str | None = None
    state: AgentState = AgentState.STOPPED
    since: float = field(default_factory=time.time)
    detail: str | None = None
    harness: Connection | None = None
    harness_at: float = 0.0
    """When its harness said hello; none of its reports can be older."""
    turn: int | None = None
    turn_model: str | None = None
    """The model hived chose for the running turn, else the last turn's model.

    Only the model of a running turn affects any decision: for earlier turns, the store
    may contain a harness's unverified claim.
    """
    hop: int = 0
    """How many turns its current messages are away from a human."""
    parked: "Parked | None" = None
    """Its pending ``recv``, which the next message completes."""
    on_hold: str | None = None
    """Why it is on hold for its files, which are too large or too many."""
    over_budget: str | None = None
    """Why its budget currently blocks new turns."""
    budget_until: float | None = None
    """When that budget allows turns again without intervention."""
    cut_off: bool = False
    """It is paused, and its running turn may no longer use the model."""
    refused: str | None = None
    """The daily limit that refused the latest request, if any."""
    provider_status: int | None = None
    """The HTTP status of the provider's latest response, as seen by the relay."""
    retry_at: Moment | None = None
    """When the model provider lets us retry, if it asked us to back off."""
    warm: int = 0
    """Memory in bytes of the CLI kept for its next turn; 0 if none is kept."""
    warm_at: float = 0.0
    """Since when it has been kept, on the monotonic clock."""
    late: StateParams | None = None
    """The latest of the states reported too fast to be published immediately."""
    reports: TokenBucket = field(default_factory=lambda: TokenBucket(*REPORTS))
    turns: TokenBucket = field(default_factory=lambda: TokenBucket(*TURNS))
    reading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(READS))
    """Acquired for its store reads, so that they cannot delay the operator's."""

    @property
    def model(self) -> str:
        """The model of the next turn: the operator's choice, else the manifest's."""
        record = self.applied or self.record
        manifest = "" if record is None else record.typed.model
        return self.control.model or manifest

    def policy(self) -> PinnedRecord:
        """Return the record whose rules currently apply.

        Raises:
            HiveError: ``agent_not_running`` before the first deploy.
        """
        record = self.applied or self.record
        if record is None:
            raise HiveError(
                ErrorCode.AGENT_NOT_RUNNING, f"{self.name} has not been deployed yet."
            )
        return record


@dataclass(kw_only=True)
class Receiver:
    """A connection that may hold leases on one agent's messages."""

    agent: Agent
    harness: bool = False
    """Whether it is the harness's; no other connection may block its ``recv``."""
    connection: Connection | None = None
    killed: int = 0
    """Processes of the agent that its memory limit had killed when its turn began."""
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    empty_waits: int = 0
    took: bool = False
    """Whether it ever received a message; if not, there is nothing to requeue."""
    gone: bool = False

    @property
    def is_current(self) -> bool:
        """Whether it is the connection of the agent's present harness."""
        return self.agent.harness is self.connection is not None


@dataclass(frozen=True, eq=False)
class Parked:
    """A pending ``recv``."""

    receiver: Receiver
    future: asyncio.Future[tuple[Message, ...]]

    def end(self, messages: tuple[Message, ...] = ()) -> bool:
        """Complete it with ``messages``; return False if its caller has given up."""
        if self.future.done():
            return False
        self.future.set_result(messages)
        return True


@dataclass(frozen=True, kw_only=True, eq=False)
class Everyone:
    """State that applies to all agents."""

    control: Control = _NOTHING
    disk_full: str | None = None
    """Why all agents are on hold until there is free disk space."""


def spec_of(name: str, record: PinnedRecord) -> AgentSpec:
    """Return what a backend needs to run an agent under ``record``."""
    limits = record.typed.limits
    memory = limits.memory_max
    return AgentSpec(
        name=name,
        manager=name == MANAGER,
        record=record.encode(),
        network=record.typed.network,
        egress=bool(record.typed.hosts) and not record.typed.network,
        secrets="file" in exposed_secrets.of(record.typed).values(),
        memory_max=None if memory is None else memory_bytes(memory),
        cpu_quota=limits.cpu_quota,
        system=record.system,
    )
