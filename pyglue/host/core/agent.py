"""One agent's present: what is deployed, who is connected, what runs and what stops it.

To be read only. ``transitions`` is the one module that changes it: the classes are
frozen for everybody else, in the types and at run time.
"""

import asyncio
import time
import uuid
from dataclasses import dataclass, field
from typing import Final

from pyglue import exposures
from pyglue.api.common import AgentState, Role
from pyglue.api.messages import Message
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.backends.base import AgentSpec
from pyglue.host.core.token_bucket import TokenBucket
from pyglue.jsonrpc import Connection
from pyglue.manifest import PinnedRecord, memory_bytes
from pyglue.names import MANAGER
from pyglue.store.control import Control
from pyglue.wall_clock import Moment

HIVE: Final = "hive"
"""The name of the control row that holds for all agents."""
_NOTHING: Final = Control(agent=HIVE)
_REPORTS: Final = (100.0, 2.0)
"""States that a harness may report: a burst, then so many a second."""
_TURNS: Final = (60.0, 2.0)
"""Turns that may begin: a burst, then so many a second. A real turn takes longer."""
_READS: Final = 2
"""Reads of the store that one agent may have queued."""


@dataclass(frozen=True)
class Report:
    """A state that a harness reported."""

    state: AgentState
    detail: str | None
    since: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Agent:
    """One agent's present. Compared by identity: a restored agent is another one."""

    name: str
    role: Role
    control: Control
    """What the operator wants of it: pause, model, lifted budgets."""
    wanted: bool = True
    """It should run."""
    approval: int | None = None
    commit: str | None = None
    record: PinnedRecord | None = None
    """The deployed record."""
    applied: PinnedRecord | None = None
    """The record that its container was started with: the next hello must name it."""
    problem: str | None = None
    state: AgentState = AgentState.STOPPED
    since: float = field(default_factory=time.time)
    detail: str | None = None
    harness: Connection | None = None
    harness_at: float = 0.0
    """When its harness said hello: nothing that it reports is older."""
    turn: int | None = None
    turn_model: str | None = None
    """The model that hived chose for the running turn, else that of the last one.

    Only that of a running turn decides anything: what the store has of earlier turns
    may be a harness's own word.
    """
    hop: int = 0
    """How many turns the messages that it works on are away from a human."""
    parked: "Parked | None" = None
    """Its open ``recv``, which the next message ends."""
    held: str | None = None
    """Why it is on hold: its files are too large or too many."""
    over_budget: str | None = None
    """Why no turn may begin until a budget allows it again."""
    budget_until: float | None = None
    """When that budget allows turns again by itself."""
    cut_off: bool = False
    """It is paused, and its running turn may not use the model any more."""
    refused: str | None = None
    """The daily limit that refused the newest request, if one did."""
    provider_status: int | None = None
    """The HTTP status of the provider's newest answer, as the relay saw it."""
    retry_at: Moment | None = None
    """Until when the model provider asked us to back off."""
    warm: int = 0
    """Bytes of the CLI that waits for its next turn; 0: none does."""
    warm_at: float = 0.0
    """Since when, on the monotonic clock."""
    late: Report | None = None
    """The newest of the states that were reported too fast to be published at once."""
    reports: TokenBucket = field(default_factory=lambda: TokenBucket(*_REPORTS))
    turns: TokenBucket = field(default_factory=lambda: TokenBucket(*_TURNS))
    reading: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(_READS)
    )
    """Held while the store reads for it, so that the operator's reads come soon."""

    @property
    def model(self) -> str:
        """The model of the next turn: the operator's choice, else the manifest's."""
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


@dataclass(kw_only=True)
class Holder:
    """A connection that may hold messages of one agent."""

    agent: Agent
    harness: bool = False
    """Whether it is the harness's, which no other may keep from its mail."""
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    empty_waits: int = 0
    took: bool = False
    """Whether it was ever handed a message: else there is nothing to queue again."""
    gone: bool = False


@dataclass(frozen=True, eq=False)
class Parked:
    """An open ``recv`` that waits for a message."""

    holder: Holder
    future: asyncio.Future[tuple[Message, ...]]

    def end(self, messages: tuple[Message, ...] = ()) -> bool:
        """Make it return ``messages``; False if its caller has given up."""
        if self.future.done():
            return False
        self.future.set_result(messages)
        return True


@dataclass(frozen=True, kw_only=True, eq=False)
class Everyone:
    """What holds for all agents at once."""

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
        secrets="file" in exposures.of(record.typed).values(),
        memory_max=None if memory is None else memory_bytes(memory),
        cpu_quota=limits.cpu_quota,
        system=record.system,
    )
