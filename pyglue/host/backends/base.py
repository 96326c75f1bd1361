"""What runs a container: the one interface, one file a backend beside it.

hived's lifecycle, deploy and recovery call this and know nothing of bubblewrap or
systemd. Names are checked before they get here. Methods are idempotent: starting
what runs and stopping what does not are no errors.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from pyglue.api.journal import JournalUnit
from pyglue.host.backends.logs import JournalSource
from pyglue.redact import Redactor
from pyglue.workspaces import Mount


class ContainerEventKind(StrEnum):
    """What a backend reports on its own account."""

    STARTED = "started"
    STOPPED = "stopped"
    CRASHED = "crashed"
    GAVE_UP = "gave_up"
    """It crashed, and what restarts it by itself has given up on it."""


@dataclass(frozen=True, kw_only=True)
class ContainerEvent:
    """A container began or ended; ``reason`` is a sentence for people.

    ``id`` is the run that it is about, None where runs have none. ``asked``: hived
    stops it. ``restarting``: it is started again without hived.
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

    ``record`` is the canonical pinned record, byte for byte what was approved, and
    ``system`` its toplevel's ``.drv`` (None on the local backend). ``memory_max`` is
    in bytes, ``cpu_quota`` in percent of one core. ``egress``: it may reach hosts
    through its ``egress.sock``.
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
    """Runs agents. ``watch`` is called in the event loop's thread."""

    name: str
    isolation: str
    """One sentence: what keeps an agent in."""
    warnings: tuple[str, ...]
    """What is *not* isolated or limited here, for the banner."""
    redactor: Redactor
    """Takes values of secrets out of agents' logs; ``wiring`` sets hived's."""
    limits: bool = True
    """Whether limits of memory and CPU are enforced here."""
    systems: bool = False
    """Whether an agent is a NixOS system, which is evaluated before its approval."""
    units: tuple[str, ...] = ()
    """The systemd units of hived, dashboard and relay: their logs are in the journal,
    and systemd listens for the dashboard."""
    binds_at_start: bool = False
    """Whether it binds any directory of the host when an agent starts; else only what
    the host's configuration prepared."""
    agents_pass: bool = False
    """Whether agents run as users of the host, and so must be let pass through the
    hive's directories to their own."""

    @abstractmethod
    def watch(self, callback: Callable[[ContainerEvent], None]) -> None:
        """Set who hears of every start, stop and crash."""

    def admit(self, name: str) -> None:  # noqa: B027 (most have nothing to do)
        """Let a running manager write in directories that were just made. Blocking."""

    def memory_kills(self, name: str) -> int:
        """Count an agent's processes that its memory limit killed since its start.

        For a CLI that is killed while its harness goes on; 0 where it is not known.
        """
        del name
        return 0

    async def build(
        self, spec: AgentSpec, log: Callable[[str], None] | None = None
    ) -> str | None:
        """Build what ``spec`` needs, and return the system that it will run in.

        May take long; touches nothing that runs. None where there is nothing to
        build; what is built already is only returned. ``log`` is given each line, made
        visible. Raises HiveError ``build_failed`` with the end of the log.
        """
        del spec, log
        return None

    async def adopt(self, specs: tuple[AgentSpec, ...]) -> frozenset[str]:
        """At hived's start: return the agents that run already and are left alone."""
        del specs
        return frozenset()

    @abstractmethod
    async def apply(self, spec: AgentSpec) -> None:
        """Make ``spec`` what the next start runs; never touches what runs now."""

    @abstractmethod
    async def start(self, spec: AgentSpec) -> None:
        """Start the container. Raises HiveError if it cannot be started at all."""

    @abstractmethod
    async def stop(self, name: str, *, grace_s: float = 5.0) -> None:
        """Stop the container and everything in it, by force after ``grace_s``."""

    async def remove(self, name: str) -> None:
        """Forget the (stopped) container; the agent's own directories stay."""
        del name

    def left_behind(self, names: frozenset[str]) -> tuple[str, ...]:
        """Return whose containers are this hive's, and of none of ``names``; blocks."""
        del names
        return ()

    def orphans(
        self, names: Iterable[str]
    ) -> tuple[tuple[str, Callable[[], None]], ...]:
        """Return a sentence on each process of an agent that this hived did not start.

        With it comes what ends the process. Blocks.
        """
        del names
        return ()

    def shares_network(self, network: bool) -> bool:
        """Return whether an agent's loopback is the host's, given ``network``."""
        del network
        return False

    def container(self, name: str) -> str:
        """Return what the container of an agent is called on this backend."""
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
        """Stop watching and release what is held.

        Local children end here; containers that hived is not the parent of go on.
        """
