"""The whole config file: read, checked across its sections, and written."""

from pathlib import Path

import msgspec
from msgspec import Struct

from pyglue import strict_json
from pyglue.config.limits import (
    AgentDefaults,
    DiskConfig,
    MessageLimits,
    OperatorLimits,
    Quotas,
    Retention,
    Timeouts,
    WarmConfig,
)
from pyglue.config.parts import (
    DeclaredAgent,
    EgressConfig,
    Ids,
    NixosConfig,
    NotifyConfig,
    RelayConfig,
    WebConfig,
    WorkspaceConfig,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.files.workspaces import check_name, check_path
from pyglue.limits import HEALTH_LEAST_S, PREFLIGHT_S, SERVER_START_S
from pyglue.models.catalogue import Catalogue
from pyglue.models.configured import ModelConfig, catalogue_of
from pyglue.net import hosts
from pyglue.paths import Layout


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
    """Models of a gateway by alias, in addition to those that the hive knows."""
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
    """Files with values of secrets, by name; set others with ``hive secret``."""
    workspaces: dict[str, WorkspaceConfig] = {}
    """Directories that agents can use by name; add others with ``hive workspace``."""
    time_zone: str | None = None
    """Time zone of schedules without one; None: this machine's."""
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
    catalogue_of(config.models)
    wrong = _wrong(config)
    if wrong is not None:
        raise HiveError(
            ErrorCode.CONFIG_INVALID, f"Invalid configuration file {path}: {wrong}"
        )
    return config


def _wrong(config: HiveConfig) -> str | None:
    """Return a problem across fields and what to do; None if there is none."""
    for name in ("state_dir", "runtime_dir"):
        place = getattr(config, name)
        if not place.startswith("/") or "\0" in place:
            return f"{name} is {place!a}; use an absolute path."
    try:
        for entry in config.limits.hosts:
            hosts.parse(entry)
    except HiveError as error:
        return f"limits.network: {error}"
    try:
        for entry in config.notify.web_push.private_hosts:
            hosts.parse(entry)
    except HiveError as error:
        return f"notify.web_push.private_hosts: {error}"
    own = (config.layout.state, config.layout.runtime)
    for name, workspace in config.workspaces.items():
        try:
            check_name(name)
            check_path(workspace.path, own)
        except HiveError as error:
            return f"workspaces.{name}: {error}"
    if config.relay.name in config.relay.others:
        return f"two accounts are called {config.relay.name}. Rename one of them."
    health = config.timeouts.health_s
    if health < HEALTH_LEAST_S:
        return (
            f"timeouts.health_s is {health:g}; use at least {HEALTH_LEAST_S:g}, "
            f"because an agent's start may take {PREFLIGHT_S:g} s and each MCP server "
            f"{SERVER_START_S:g} s."
        )
    return None


def dump(config: HiveConfig) -> bytes:
    """Return the file's text for ``config``."""
    return msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n"
