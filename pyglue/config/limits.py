"""Sections of the config file with numbers: limits, defaults, timeouts, quotas.

What the operator allows, and how long and how much of everything.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct


class OperatorLimits(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Limits that no agent.nix can exceed; None means no limit.

    ``memory_max`` is a size such as ``2G``, ``cpu_quota`` a percentage of one core, and
    ``mcp_commands`` are the programs that may run as MCP servers, by absolute path.
    Without ``any_command`` the Bash tool of every agent is limited to patterns.
    """

    models: tuple[str, ...] | None = None
    cost_per_day_usd: float | None = None
    tokens_per_day: int | None = None
    turns_per_hour: int | None = None
    memory_max: str | None = None
    cpu_quota: int | None = None
    mcp_commands: tuple[str, ...] | None = None
    any_command: bool = True
    network: bool | tuple[str, ...] = True
    """Whether agents may have a network; a tuple: only these hosts, and no network."""
    secrets: dict[str, tuple[str, ...]] | None = None
    """Secrets that agents may use, each with the hosts to which it may be sent; ``*``:
    any host, and agents may see the value."""
    webhooks: bool = True
    workspaces: Literal["none", "read", "write"] = "write"
    """Maximum access to directories of the host."""
    shared: Literal["read", "write"] = "write"
    """Maximum access to ``/shared``."""
    schedule_minutes: Annotated[int, Meta(ge=1)] = 5
    """Minimum interval of an agent's schedule in minutes."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """The only hosts that agents may reach, where ``network`` lists some."""
        return () if isinstance(self.network, bool) else self.network


class AgentDefaults(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Defaults for options that an agent.nix does not set; None: the limit, if any."""

    cost_per_day_usd: float | None = None
    tokens_per_day: int | None = None
    turns_per_hour: int | None = None
    memory_max: str | None = None
    cpu_quota: int | None = None


class Timeouts(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Timeouts in seconds; ``drain_s`` is how long a deploy or pause drains a turn.

    After ``late_step_s`` the operator is notified of a tool call without a result.
    """

    health_s: float = 60.0
    drain_s: float = 60.0
    stop_s: float = 5.0
    late_step_s: float = 900.0
    evaluate_s: float = 10.0
    approval_expires_s: float = 7 * 86400.0


class MessageLimits(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Rate and size limits of messages, enforced on the host."""

    per_pair_per_minute: int = 60
    per_agent_per_minute: int = 120
    inbox_max: int = 10_000
    deliveries_max: int = 5
    hops_max: int = 64


class Retention(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Days for which something is kept after its last use."""

    messages_days: float = 90.0
    proposals_days: float = 30.0
    history_days: float = 7.0
    stats_days: float = 400.0
    events_days: float = 7.0


_Limit = Annotated[int, Meta(ge=1)] | None


class Quotas(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Limits on everything that grows because of an agent; None means no limit."""

    messages_mib_per_day: _Limit = 64
    """MiB that an agent may send a day: messages, questions, answers, reminders."""
    inbox_mib: _Limit = 64
    """MiB that may be queued in one agent's inbox."""
    questions: _Limit = 32
    """Open questions of an agent."""
    reminders: _Limit = 32
    """Pending reminders of an agent."""
    proposals_per_hour: _Limit = 30
    """Proposals that the manager may make per hour."""
    proposals_mib_per_day: _Limit = 256
    """MiB of proposed commits and manifests per day."""
    operations_per_hour: _Limit = 120
    """Starts, stops, restarts and rebuilds that the manager may request per hour."""
    drafts: _Limit = 16
    """Drafts at a time."""
    egress_mib_per_day: _Limit = 51_200
    """MiB that an agent may transfer through hive-egress per day, in both
    directions."""
    history_mib: Annotated[int, Meta(ge=1)] = 64
    """MiB of an agent's history of turns; the oldest events are deleted."""
    state_mib: _Limit = 10_240
    """MiB of an agent's files (``/state``, the CLI's); above it, the agent is on
    hold."""
    state_files: _Limit = 500_000
    """Files and directories of an agent; above it, the agent is on hold."""


class WarmConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """CLIs that stay alive between turns."""

    memory: Annotated[int, Meta(ge=0)] | None = None
    """Bytes that all of them together may use; None: a quarter of the machine's
    memory."""


class DiskConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Free space to preserve on the state directory's disk.

    On a small disk ``reserve_mib`` is at most a tenth of it and ``ballast_mib`` a
    twentieth.
    """

    ballast_mib: Annotated[int, Meta(ge=0)] = 64
    """MiB that the hive reserves, and frees for itself when the disk is full."""
    reserve_mib: Annotated[int, Meta(ge=0)] = 256
    """Agents are on hold while fewer MiB are free."""
