"""The hive and its agents as the operator sees them.

The calls are declared in ``operator``; these are their types.
"""

from pyglue.api.approvals import ApprovalSummary
from pyglue.api.common import AgentState, Result, Role
from pyglue.api.control import Blocked, ModelStatus
from pyglue.api.relay import RateWindow
from pyglue.api.secrets import SecretUse
from pyglue.api.wakeups import ScheduleView, WebhookView
from pyglue.net import hosts


class HivePause(Result, frozen=True):
    """The operator's stop of the whole hive: by whom, since when and why."""

    by: str
    at: float
    reason: str = ""


class HiveStatus(Result, frozen=True):
    """The hive at a glance. ``warnings`` are shown as a banner on every page."""

    version: str
    backend: str
    isolation: str
    model_source: str
    warnings: tuple[str, ...]
    started_at: float
    agents: int
    running: int
    pending_approvals: int
    open_questions: int
    unread: int
    last_seq: int
    pause: HivePause | None = None
    """The operator's stop of the whole hive, if it is stopped."""
    windows: tuple[RateWindow, ...] = ()
    """Windows of the Claude subscriptions that pay, unless they have reset since."""
    is_estimate: bool = False
    """Whether a subscription may pay, so that part of the costs is an estimate."""
    journal: bool = False
    """Whether hived logs to the journal, which stores heads of the audit log and
    separate logs of an agent's harness and container."""
    push_key: str | None = None
    """The key with which browsers subscribe to notifications; None: they cannot."""


class Step(Result, frozen=True):
    """The tool call that the running turn waits for, as its harness reports it.

    ``text`` is the tool and a few words of its input, or an MCP server and its tool;
    ``doing`` the same with a verb; ``call`` the call's id. ``since_at`` is when hived
    was notified of it. ``is_long``: after some seconds, so that it is worth showing;
    ``is_late``: after the time at which the operator is notified.
    """

    text: str
    since_at: float
    is_long: bool = False
    is_late: bool = False
    doing: str = ""
    call: str = ""


class EgressTotals(Result, frozen=True):
    """An agent's connections to hosts since hived started; bytes from its point of
    view."""

    connected: int = 0
    refused: int = 0
    sent: int = 0
    received: int = 0


class HostUse(Result, frozen=True):
    """Connections of an agent to one host since hived started.

    ``refused`` is the reason for a refusal, None without one.
    """

    host: str
    port: int
    refused: str | None = None
    connections: int = 0
    sent: int = 0
    received: int = 0
    last_at: float = 0.0

    def is_listed(self, entries: tuple[str, ...]) -> bool:
        """Return whether an allow list permits it: then something else refused it."""
        entry = self.entry
        return entry is not None and any(
            hosts.parse(one).covers(hosts.parse(entry)) for one in entries
        )

    @property
    def entry(self) -> str | None:
        """The entry of an allow list that would permit it, if there is one."""
        found = hosts.asked(
            f"[{self.host}]:{self.port}"
            if ":" in self.host
            else f"{self.host}:{self.port}"
        )
        return None if found is None else found.entry


class AgentView(Result, frozen=True):
    """An agent as the operator sees it.

    ``wanted``: whether it should run; ``state`` is its state since ``since_at``;
    ``model`` is the model of its next turn; ``problem`` is its latest one, if any.
    """

    name: str
    role: Role
    wanted: bool
    state: AgentState
    since_at: float
    detail: str | None
    description: str
    model: str
    network: bool
    manifest_sha256: str | None
    deployed_commit: str | None
    deployed_approval: int | None
    pending_approval: int | None
    inbox: int
    turns: int
    last_turn_at: float | None
    cost_today_usd: float
    problem: str | None
    container: str = ""
    """The name of its container on the backend."""
    needs_update: bool = False
    """Whether its system was built with a different nixpkgs or hive."""
    model_status: ModelStatus | None = None
    paused: bool = False
    """Whether the operator paused this agent, even if a turn is still running."""
    last_turn_outcome: str | None = None
    context_fill: float | None = None
    """How full the model's context was at the end of the last turn, 0 to 1."""
    port: int | None = None
    """Its port on the host's loopback, which redirects to its page."""
    port_conflict: str | None = None
    """Why that port does not work, if so."""
    step: Step | None = None
    """The tool call that its running turn waits for, if any."""
    blocked: Blocked | None = None
    """Why it cannot run a turn, if so."""
    turn: int | None = None
    """The running turn."""
    account: str | None = None
    """The account that pays for it, if the hive has several."""
    is_estimate: bool = False
    """Whether a subscription pays, so that its cost is only an estimate."""
    cost_limit_usd: float | None = None
    """Its cost limit of today, with amounts added for today; None: no limit."""
    cost_hour_usd: float = 0.0
    """Cost of its requests that finished in the last 60 minutes."""
    cost_hours: tuple[float, ...] = ()
    """Cost of its turns in each of the last 24 clock hours, oldest first; empty: none.
    A turn counts in the hour in which it ends."""
    warm_bytes: int = 0
    """Memory of the CLI kept for its next turn; 0: that turn starts a CLI."""
    hosts: tuple[str, ...] = ()
    """The hosts that it may reach without a network."""
    egress: EgressTotals | None = None
    """The totals of its connections to these; None: there were none."""


class AgentsView(Result, frozen=True):
    """All agents, the manager first, then by name."""

    agents: tuple[AgentView, ...]


class AgentDetail(Result, frozen=True):
    """One agent with its pinned record."""

    agent: AgentView
    manifest_json: str | None
    agent_nix: str | None
    approvals: tuple["ApprovalSummary", ...]
    log_tail: tuple[str, ...]
    schedule: tuple[ScheduleView, ...] = ()
    webhooks: tuple[WebhookView, ...] = ()
    secrets: tuple[SecretUse, ...] = ()
    """The secrets that it uses."""
    hosts: tuple[HostUse, ...] = ()
    """The hosts that it requested, newest first."""
    accounts: tuple[str, ...] = ()
    """Accounts to choose from, the default first, if there are several."""
