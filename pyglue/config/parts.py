"""Sections of the config file with one owner each: a daemon, a backend, a directory.

Where each part listens, what it runs as, and which files hold its credentials.
"""

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct

from pyglue.api.common import DEFAULT_ACCOUNT, AccountName
from pyglue.api.notify import NotifyEvent


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
    trusted_days: Annotated[int, Meta(ge=0, le=90)] = 0
    """How long a session lasts in a browser that its operator trusts; 0: no longer."""


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
