"""The interface of container backends; each backend has a module beside this one.

hived's lifecycle, deploy and recovery use only this, and know nothing of bubblewrap or
systemd. Callers pass checked names. Methods are idempotent: starting a running
container and stopping a stopped one are not errors.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from pyglue.api.journal import JournalUnit
from pyglue.config import HiveConfig
from pyglue.files.workspaces import Mount
from pyglue.host.backends.logs import JournalSource
from pyglue.redaction.redactor import Redactor


class ContainerEventKind(StrEnum):
    """The kinds of events that a backend reports."""

    STARTED = "started"
    STOPPED = "stopped"
    CRASHED = "crashed"
    GAVE_UP = "gave_up"
    """It crashed, and is no longer restarted automatically."""


@dataclass(frozen=True, kw_only=True)
class ContainerEvent:
    """A container started or stopped; ``reason`` is a sentence for people.

    ``id`` identifies the run, None where the backend has no such IDs. ``asked``: hived
    itself stopped it. ``restarting``: it is restarted without hived.
    """

    agent: str
    kind: ContainerEventKind
    reason: str
    log_tail: tuple[str, ...] = ()
    id: str | None = None
    asked: bool = False
    restarting: bool = False


@dataclass(frozen=True, kw_only=True)
class AgentSpec:
    """All that a backend needs to run an agent.

    ``record`` is the canonical pinned record, byte for byte as approved; ``system`` is
    its toplevel's ``.drv`` (None on the local backend). ``memory_max`` is in bytes,
    ``cpu_quota`` in percent of one core. ``egress``: it may reach hosts through its
    ``egress.sock``.
    """

    name: str
    manager: bool
    record: bytes
    network: bool
    memory_max: int | None
    cpu_quota: int | None
    system: str | None = None
    egress: bool = False
    secrets: bool = False
    """Whether it has ``/run/hive/secrets``."""
    mounts: tuple[Mount, ...] = ()
    """Its workspaces, and ``/shared``."""


class Backend(ABC):
    """Runs agents. The callback of ``watch`` runs in the event loop's thread."""

    name: str
    isolation: str
    """How agents are isolated, in one sentence."""
    warnings: tuple[str, ...]
    """Sentences about missing isolation and limits, for the banner."""
    redactor: Redactor
    """Removes values of secrets from agents' logs; set by ``wiring``."""
    limits: bool = True
    """Whether memory and CPU limits are enforced here."""
    systems: bool = False
    """Whether an agent is a NixOS system, which is evaluated before its approval."""
    units: tuple[str, ...] = ()
    """The systemd units of hived, dashboard and relay, if any: their logs are in the
    journal, and systemd listens for the dashboard."""
    binds_at_start: bool = False
    """Whether any directory of the host can be bound at an agent's start; if not, only
    those that the host's configuration prepared."""
    agents_pass: bool = False
    """Whether agents run as users of the host, and so need search permission on the
    hive's directories above their own."""

    @abstractmethod
    def __init__(self, config: HiveConfig) -> None:
        """Every backend is created from the configuration alone."""

    @abstractmethod
    def watch(self, callback: Callable[[ContainerEvent], None]) -> None:
        """Set the callback for every start, stop and crash."""

    def admit(self, name: str) -> None:  # noqa: B027 (most have nothing to do)
        """Let a running manager write to an agent's new directories. Blocking."""

    def memory_kills(self, name: str) -> int:
        """Count an agent's processes killed by its memory limit since its start.

        This detects that the CLI was killed, but not the harness; 0 where unknown.
        """
        del name
        return 0

    async def build(
        self, spec: AgentSpec, log: Callable[[str], None] | None = None
    ) -> str | None:
        """Build and return the system that ``spec`` runs in; None if it has none.

        This may take long, and does not affect running containers; a system that is
        already built is only returned. ``log`` receives each line as visible text.
        Raises HiveError ``build_failed`` with the end of the log.
        """
        del spec, log
        return None

    async def adopt(self, specs: tuple[AgentSpec, ...]) -> frozenset[str]:
        """Return the agents that are already running correctly, at hived's start."""
        del specs
        return frozenset()

    @abstractmethod
    async def apply(self, spec: AgentSpec) -> None:
        """Prepare ``spec`` for the next start, without affecting a running one."""

    @abstractmethod
    async def start(self, spec: AgentSpec) -> None:
        """Start the container. Raises HiveError if it cannot be started at all."""

    @abstractmethod
    async def stop(self, name: str, *, grace_s: float = 5.0) -> None:
        """Stop the container and everything in it, by force after ``grace_s``."""

    async def remove(self, name: str) -> None:
        """Remove the (stopped) container, but not the agent's own directories."""
        del name

    def left_behind(self, names: frozenset[str]) -> tuple[str, ...]:
        """Return the agents of this hive's containers, except ``names``. Blocking."""
        del names
        return ()

    def orphans(
        self, names: Iterable[str]
    ) -> tuple[tuple[str, Callable[[], None]], ...]:
        """Describe each process of an agent that this hived did not start. Blocking.

        Returns pairs of a sentence and a function that kills the process.
        """
        del names
        return ()

    def shares_network(self, network: bool) -> bool:
        """Return whether an agent's loopback is the host's, given ``network``."""
        del network
        return False

    def container(self, name: str) -> str:
        """Return the name of an agent's container on this backend."""
        return name

    @abstractmethod
    def without_harness(self, name: str) -> str:
        """Explain how to get a shell when no harness can open one."""

    @abstractmethod
    def running(self, name: str) -> bool:
        """Return whether the container runs."""

    @abstractmethod
    def log_tail(self, name: str, lines: int) -> tuple[str, ...]:
        """Return the newest lines of the agent's log, oldest first. May block."""

    @abstractmethod
    def journal(self, name: str | None, unit: JournalUnit) -> JournalSource:
        """Return a log of an agent (``harness`` or ``machine``); None: hived's own."""

    @abstractmethod
    async def close(self) -> None:
        """Stop watching, and release all resources.

        hived's child processes are stopped; other containers continue.
        """
