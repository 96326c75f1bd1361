"""The daemons' ONE JSON config file, as types.

The NixOS host module writes it in production, ``hive run`` in local mode; hived,
hive-web and hive-relay read it with ``--config FILE``. Secrets are never in it,
only paths to files that hold them.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from pyglue import hosts, strict_json
from pyglue.api.common import DEFAULT_ACCOUNT, AccountName
from pyglue.api.notify import NotifyEvent
from pyglue.errors import ErrorCode, HiveError
from pyglue.limits import HEALTH_LEAST_S, PREFLIGHT_S, SERVER_START_S
from pyglue.model_config import ModelConfig, catalogue_of
from pyglue.models import Catalogue
from pyglue.paths import Layout
from pyglue.workspaces import check_name, check_path


class Ids(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Numeric user ids (the group id is the same number) that children run as."""

    agent: Annotated[int, Meta(ge=1)]
    """The manager's, or all agents'."""
    web: Annotated[int, Meta(ge=1)]
    relay: Annotated[int, Meta(ge=1)]
    egress: Annotated[int, Meta(ge=1)] | None = None
    notify: Annotated[int, Meta(ge=1)] | None = None
    agents: Annotated[int, Meta(ge=1)] = 1
    """How many ids from ``agent`` on belong to agents, one each; 1: they share it, and
    only the user namespace of each container separates them."""
    group: Annotated[int, Meta(ge=1)] | None = None
    """The group of all of these that may traverse the hive's directories, if they are
    reached by their paths; None: there is none."""

    def is_agent(self, uid: int) -> bool:
        """Return whether agents run as ``uid``."""
        return self.agent <= uid < self.agent + self.agents

    def is_outside(self, uid: int) -> bool:
        """Return whether a daemon with a network runs as ``uid``; hive-web is not."""
        return uid in {self.relay, self.egress, self.notify}


class WebConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the dashboard listens and which Host names it answers to."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 7000
    external_url: str | None = None
    """The address in browsers; None, or loopback: a generated name on loopback."""
    trusted_hosts: tuple[str, ...] = ()
    """Additional names, each with its port if it differs from ``external_url``'s."""
    run: str = ""
    """Identifies a listener's life; sessions from other lives are invalid."""
    tls_cert: str | None = None
    tls_key: str | None = None
    """Files with the certificate chain and its key; None: no TLS of our own."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses whose ``X-Forwarded-*`` headers are trusted; none by default."""
    agent_ports: bool = True
    """Whether each agent also has a loopback port that opens its page."""
    terminal: bool = True
    """Whether operators may open a terminal in an agent's container."""


class Credential(StrEnum):
    """How the relay shows the model's side who pays."""

    API_KEY = "api_key"
    SUBSCRIPTION = "subscription"
    """The long-lived token of a Claude subscription (``claude setup-token``)."""
    GATEWAY = "gateway"
    """A bearer token of a gateway that speaks Anthropic's API."""


ANTHROPIC: Final = "https://api.anthropic.com"
"""Where requests go unless something else is configured."""


class Account(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who pays for requests, and where they go.

    ``credential`` is what the file holds.
    """

    upstream_url: str = ANTHROPIC
    credential: Credential = Credential.API_KEY
    api_key_file: str | None = None


class RelayConfig(Account, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The default account and the others. ``scripted`` is only shown."""

    scripted: bool = False
    name: AccountName = DEFAULT_ACCOUNT
    others: dict[AccountName, Account] = {}
    """Accounts that the operator may choose for an agent."""

    @property
    def accounts(self) -> dict[str, Account]:
        """All accounts by name, the default first."""
        return {self.name: self, **self.others}


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
    """Secrets that agents may use, each with the hosts that may be sent it; ``*``:
    anywhere, which also lets an agent see it."""
    webhooks: bool = True
    workspaces: Literal["none", "read", "write"] = "write"
    """The most that an agent may do with directories of the host."""
    shared: Literal["read", "write"] = "write"
    """The most that an agent may do in ``/shared``."""
    schedule_minutes: Annotated[int, Meta(ge=1)] = 5
    """The least minutes between two times of one schedule of an agent."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """The only hosts that agents may reach, where ``network`` lists some."""
        return () if isinstance(self.network, bool) else self.network


class AgentDefaults(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Defaults for what an agent.nix does not set; None: the limit, if any."""

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
    """MiB that an agent may move through hive-egress a day, both ways together."""
    history_mib: Annotated[int, Meta(ge=1)] = 64
    """MiB of an agent's history of turns; the oldest events are deleted."""
    state_mib: _Limit = 10_240
    """MiB of an agent's files (``/state``, the CLI's); above it, no turn begins."""
    state_files: _Limit = 500_000
    """Files and directories of an agent; above it, no turn begins."""


class WarmConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """CLIs that stay alive between turns."""

    memory: Annotated[int, Meta(ge=0)] | None = None
    """Bytes that all of them may hold; None: a quarter of the machine's memory."""


class DiskConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Free space to preserve on the state directory's disk.

    On a small disk ``reserve_mib`` is at most a tenth of it and ``ballast_mib`` a
    twentieth.
    """

    ballast_mib: Annotated[int, Meta(ge=0)] = 64
    """MiB that the hive reserves, and frees for itself when the disk is full."""
    reserve_mib: Annotated[int, Meta(ge=0)] = 256
    """No turn begins while fewer MiB are free."""


class WebPushConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Notifications to browsers that subscribe on the dashboard."""

    enable: bool = False
    contact: Annotated[str, Meta(pattern="^(mailto:|https://)[!-~]{1,300}$")] | None = (
        None
    )
    """Said to push services; None: the dashboard's address if it has https."""
    private_hosts: tuple[str, ...] = ()
    """Push services that may have private addresses, as in ``network.allow``."""


class NotifyConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Notifications that leave the dashboard."""

    url_file: str | None = None
    """File with one Apprise URL a line; None: there are none."""
    events: tuple[NotifyEvent, ...] = tuple(NotifyEvent)
    quiet_hours: (
        Annotated[
            str,
            Meta(
                pattern="^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$"
            ),
        ]
        | None
    ) = None
    """Such as ``22:00-07:00``, in ``time_zone``."""
    web_push: WebPushConfig = WebPushConfig()

    @property
    def is_on(self) -> bool:
        """Whether anything is sent, so that there is a hive-notify."""
        return self.url_file is not None or self.web_push.enable


class EgressConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How hive-egress reaches hosts."""

    names: dict[str, str] = {}
    """Addresses of names, used unchecked: for tests, whose servers are on loopback."""
    authorities: str | None = None
    """Certificates in PEM that are trusted instead of the system's: for tests."""


class NixosConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the nixos-container backend builds and runs systems.

    ``nixpkgs`` is the locked nixpkgs and ``framework`` this project's own flake, both
    as store paths; ``revision`` is the framework's. ``modules`` are NixOS modules of
    the host's administrator that every container imports.
    """

    nixpkgs: str
    framework: str
    revision: str
    system: str = "x86_64-linux"
    modules: tuple[str, ...] = ()
    private_users: str = "pick"
    evaluate_s: float = 120.0
    build_s: float = 3600.0
    build_sandbox: bool = True
    """Whether Nix must build in its sandbox; false only in tests without one."""
    network_ranges: tuple[str, ...] = ("10.231.0.0/16",)
    """IPv4 ranges for the addresses of containers with a network."""


class WorkspaceConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A directory of the host that agents may be given by name."""

    path: str
    mounted: str | None = None
    """Where the host mounted it without devices and set-user-id; None: it did not."""


class DeclaredAgent(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An agent declared by the configuration; ``source`` None is ``agents/<name>``."""

    name: str
    source: str | None = None


class HiveConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole configuration."""

    state_dir: str
    runtime_dir: str
    backend: str = "local"
    """``local`` or ``nixos-container``."""
    ids: Ids | None = None
    web: WebConfig = WebConfig()
    relay: RelayConfig = RelayConfig()
    models: dict[str, ModelConfig] = {}
    """Models of a gateway by alias, beside those that the hive knows."""
    limits: OperatorLimits = OperatorLimits()
    defaults: AgentDefaults = AgentDefaults()
    timeouts: Timeouts = Timeouts()
    messages: MessageLimits = MessageLimits()
    nixpkgs_lib: str | None = None
    agents: tuple[DeclaredAgent, ...] = (DeclaredAgent(name="manager"),)
    """Agents that are created and approved at first start."""
    retention: Retention = Retention()
    quotas: Quotas = Quotas()
    disk: DiskConfig = DiskConfig()
    warm: WarmConfig = WarmConfig()
    notify: NotifyConfig = NotifyConfig()
    egress: EgressConfig = EgressConfig()
    nixos: NixosConfig | None = None
    """Settings of the ``nixos-container`` backend; None on the local one."""
    secrets: dict[str, str] = {}
    """Files with values of secrets, by name; others are set with ``hive secret``."""
    workspaces: dict[str, WorkspaceConfig] = {}
    """Directories that agents may be given; others come with ``hive workspace``."""
    time_zone: str | None = None
    """Of schedules that name none; None: this machine's."""
    operators_gid: int | None = None
    """The group whose members may use ``operator.sock``; None: only hived's user."""

    @property
    def layout(self) -> Layout:
        """The paths of this hive."""
        return Layout(Path(self.state_dir), Path(self.runtime_dir))

    @property
    def catalogue(self) -> Catalogue:
        """The models of this hive.

        Raises:
            HiveError: ``config_invalid``; not after ``load``.
        """
        return catalogue_of(self.models)


def load(path: Path) -> HiveConfig:
    """Read and check the config file.

    Raises:
        HiveError: ``config_invalid`` with the field that is wrong.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise HiveError(
            ErrorCode.CONFIG_INVALID,
            f"Cannot read the configuration file {path}: {error.strerror}. Name "
            "another with --config.",
        ) from error
    config = strict_json.read(
        data,
        HiveConfig,
        what=f"configuration file {path}",
        code=ErrorCode.CONFIG_INVALID,
        unique=True,
    )
    for name in ("state_dir", "runtime_dir"):
        place = getattr(config, name)
        if not place.startswith("/") or "\0" in place:
            raise HiveError(
                ErrorCode.CONFIG_INVALID,
                f"Invalid configuration file {path}: {name} is {place!a}; use an "
                "absolute path.",
            )
    catalogue_of(config.models)
    try:
        for entry in config.limits.hosts:
            hosts.parse(entry)
    except HiveError as error:
        raise HiveError(
            ErrorCode.CONFIG_INVALID,
            f"Invalid configuration file {path}: limits.network: {error}",
        ) from error
    try:
        for entry in config.notify.web_push.private_hosts:
            hosts.parse(entry)
    except HiveError as error:
        raise HiveError(
            ErrorCode.CONFIG_INVALID,
            f"Invalid configuration file {path}: "
            f"notify.web_push.private_hosts: {error}",
        ) from error
    for name, workspace in config.workspaces.items():
        try:
            check_name(name)
            own = (config.layout.state, config.layout.runtime)
            check_path(workspace.path, own)
        except HiveError as error:
            raise HiveError(
                ErrorCode.CONFIG_INVALID,
                f"Invalid configuration file {path}: workspaces.{name}: {error}",
            ) from error
    if config.relay.name in config.relay.others:
        raise HiveError(
            ErrorCode.CONFIG_INVALID,
            f"Invalid configuration file {path}: two accounts are called "
            f"{config.relay.name}. Rename one of them.",
        )
    health = config.timeouts.health_s
    if health < HEALTH_LEAST_S:
        raise HiveError(
            ErrorCode.CONFIG_INVALID,
            f"Invalid configuration file {path}: timeouts.health_s is {health:g}; use "
            f"at least {HEALTH_LEAST_S:g}, because an agent's start may take "
            f"{PREFLIGHT_S:g} s and each MCP server {SERVER_START_S:g} s.",
        )
    return config


def dump(config: HiveConfig) -> bytes:
    """Return the file's text for ``config``."""
    return msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n"
