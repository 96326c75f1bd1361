"""The daemons' ONE JSON config file, as types.

The NixOS host module writes it in production, ``hive run`` in local mode; hived,
hive-web and hive-relay read it with ``--config FILE``. Secrets are never in it,
only paths to files that hold them.

``limits`` and ``parts`` declare its sections, ``file`` the whole.
"""

from pyglue.config.file import (
    HiveConfig,
    dump,
    load,
)
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
    ANTHROPIC,
    Account,
    Credential,
    DeclaredAgent,
    EgressConfig,
    Ids,
    NixosConfig,
    NotifyConfig,
    RelayConfig,
    WebConfig,
    WebPushConfig,
    WorkspaceConfig,
)

__all__ = [
    "ANTHROPIC",
    "Account",
    "AgentDefaults",
    "Credential",
    "DeclaredAgent",
    "DiskConfig",
    "EgressConfig",
    "HiveConfig",
    "Ids",
    "MessageLimits",
    "NixosConfig",
    "NotifyConfig",
    "OperatorLimits",
    "Quotas",
    "RelayConfig",
    "Retention",
    "Timeouts",
    "WarmConfig",
    "WebConfig",
    "WebPushConfig",
    "WorkspaceConfig",
    "dump",
    "load",
]
