"""All paths: the share tree, the state tree, and paths inside a container.

Every path in the project is built here from configuration and checked agent names,
never from text that an agent chose. The table "On disk" of docs/architecture.md is
this module in words.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyglue.errors import ErrorCode, HiveError


def share() -> Path:
    """Return the directory that holds ``modules/ agents/ manual/ prompts/ web/``.

    ``HIVE_SHARE`` takes precedence, then ``<prefix>/share/hyperhive``, then a wheel's
    files inside this package, then the checkout that it was imported from.

    Raises:
        HiveError: ``config_invalid`` when none of them has ``modules/``.
    """
    asked = os.environ.get("HIVE_SHARE")
    candidates = [
        *([Path(asked)] if asked else []),
        Path(sys.prefix) / "share" / "hyperhive",
        Path(__file__).resolve().parent / "share",
        Path(__file__).resolve().parent.parent,
    ]
    for candidate in candidates:
        if (candidate / "modules").is_dir():
            return candidate
    raise HiveError(
        ErrorCode.CONFIG_INVALID,
        "hyperhive's own files (modules/, prompts/, web/) were not found. Set "
        "HIVE_SHARE to the directory that holds them.",
    )


@dataclass(frozen=True, kw_only=True)
class Inside:
    """Paths that every agent sees in its container, on every backend."""

    run: str = "/run/hive"
    hive_socket: str = "/run/hive/hive.sock"
    model_socket: str = "/run/hive/model.sock"
    egress_socket: str = "/run/hive/egress.sock"
    authority: str = "/run/hive/ca.pem"
    manifest: str = "/run/hive/manifest.json"
    secrets: str = "/run/hive/secrets"
    state: str = "/state"
    session: str = "/session"
    agents: str = "/agents"
    applied: str = "/applied"
    work: str = "/work"
    shared: str = "/shared"


INSIDE: Final = Inside()


@dataclass(frozen=True)
class Layout:
    """The state tree of one hive, and its runtime tree of sockets."""

    state: Path
    runtime: Path

    @property
    def database(self) -> Path:
        """SQLite store; only hived opens it."""
        return self.state / "hive.db"

    @property
    def lock(self) -> Path:
        """Locked by the one hived that may write."""
        return self.state / "hived.lock"

    @property
    def dashboard_name(self) -> Path:
        """The secret name of the dashboard on loopback; only hived reads it."""
        return self.state / "dashboard-name"

    @property
    def secrets(self) -> Path:
        """Values of secrets that the operator set; only hived reads it."""
        return self.state / "secrets"

    @property
    def web_push(self) -> Path:
        """The key of Web Push and the subscribed browsers; only hived reads it."""
        return self.state / "web-push.json"

    @property
    def workspaces(self) -> Path:
        """Workspaces that the operator added: names and paths."""
        return self.state / "workspaces.json"

    @property
    def shared(self) -> Path:
        """Every agent's ``/shared``."""
        return self.state / "shared"

    @property
    def audit_log(self) -> Path:
        """Append-only record of decisions."""
        return self.state / "audit.jsonl"

    @property
    def agents(self) -> Path:
        """Parent of agents' writable directories; the manager's ``/agents``."""
        return self.state / "agents"

    @property
    def applied_root(self) -> Path:
        """Parent of the bare repositories; the manager's read-only ``/applied``."""
        return self.state / "applied"

    @property
    def quarantine(self) -> Path:
        """Directory in which packs are unpacked and checked; emptied at start."""
        return self.state / "quarantine"

    @property
    def logs(self) -> Path:
        """Captured output of local children."""
        return self.state / "logs"

    def agent_log(self, agent: str) -> Path:
        """Return a local agent's log; an agent may have the name of a daemon."""
        return self.logs / "agents" / f"{agent}.log"

    @property
    def flake(self) -> Path:
        """The hive's generated flake of the deployed systems, for inspection."""
        return self.state / "flake"

    def config(self, agent: str) -> Path:
        """Return the agent's proposed repository, written by the manager."""
        return self.agents / agent / "config"

    def agent_state(self, agent: str) -> Path:
        """Return the agent's ``/state``."""
        return self.agents / agent / "state"

    def applied(self, agent: str) -> Path:
        """Return the agent's host-owned bare repository."""
        return self.applied_root / f"{agent}.git"

    def private(self, agent: str) -> Path:
        """Return the host's private directory for the agent; never bound as a whole."""
        return self.state / "private" / agent

    def session(self, agent: str) -> Path:
        """Return the CLI's config directory of the agent."""
        return self.private(agent) / "session"

    def pinned(self, agent: str) -> Path:
        """Return the deployed pinned record, kept for restarts."""
        return self.private(agent) / "manifest.json"

    def port(self, agent: str) -> Path:
        """Return the file with the agent's port on the host's loopback."""
        return self.private(agent) / "port"

    def run(self, agent: str) -> Path:
        """Return the directory bound read-only at ``/run/hive``."""
        return self.runtime / "agents" / agent

    @property
    def operator_socket(self) -> Path:
        """Socket for the CLI and the dashboard."""
        return self.runtime / "operator.sock"

    @property
    def notify_socket(self) -> Path:
        """Socket on which hive-notify receives notifications, in its own directory."""
        return self.runtime / "notify" / "notify.sock"

    @property
    def egress_socket(self) -> Path:
        """Socket for hive-egress."""
        return self.runtime / "egress.sock"

    @property
    def egress_fds_socket(self) -> Path:
        """Socket on which hive-egress receives descriptors."""
        return self.runtime / "egress-fds.sock"

    @property
    def relay_socket(self) -> Path:
        """Socket for the relay."""
        return self.runtime / "relay.sock"

    @property
    def relay_fds_socket(self) -> Path:
        """Socket on which the relay receives descriptors."""
        return self.runtime / "relay-fds.sock"
