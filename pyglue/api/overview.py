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
    """Of the Claude subscriptions that pay: those that have not reset since."""
    is_estimate: bool = False
    """Whether a subscription may pay, so that a part of the costs is an estimate."""
    journal: bool = False
    """Whether hived logs to the journal, which keeps heads of the audit log, and the
    logs of an agent's harness and machine apart."""
    push_key: str | None = None
    """The key that browsers subscribe to notifications with; None: they cannot."""


class Step(Result, frozen=True):
    """The tool call that the running turn waits for, as its harness reports it.

    ``text`` is the tool and a few words of its input, or an MCP server and its tool;
    ``doing`` the same as a verb; ``call`` the call's id. ``since_at`` is when hived
    heard of it. ``is_long`` after some seconds, so that it is worth showing;
    ``is_late`` after the time at which the operator is notified.
    """

    text: str
    since_at: float
    is_long: bool = False
    is_late: bool = False
    doing: str = ""
    call: str = ""


class EgressTotals(Result, frozen=True):
    """An agent's connections to hosts since hived started; bytes as it sees them."""

    connected: int = 0
    refused: int = 0
    sent: int = 0
    received: int = 0


class HostUse(Result, frozen=True):
    """Connections of an agent to one host since hived started.

    ``refused`` is why they were refused, None if they were not.
    """

    host: str
    port: int
    refused: str | None = None
    connections: int = 0
    sent: int = 0
    received: int = 0
    last_at: float = 0.0

    def is_listed(self, entries: tuple[str, ...]) -> bool:
        """Return whether an allow list lets it through: something else refused it."""
        entry = self.entry
        return entry is not None and any(
            hosts.parse(one).covers(hosts.parse(entry)) for one in entries
        )

    @property
    def entry(self) -> str | None:
        """The entry of an allow list that would let it through, if there is one."""
        found = hosts.asked(
            f"[{self.host}]:{self.port}"
            if ":" in self.host
            else f"{self.host}:{self.port}"
        )
        return None if found is None else found.entry


class AgentView(Result, frozen=True):
    """An agent as the operator sees it.

    ``wanted`` is whether it should run; ``state`` is what it is doing, since
    ``since_at``; ``model`` is its next turn's; ``problem`` is its latest one, if any.
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
    """What its container is called on the backend."""
    needs_update: bool = False
    """Whether its system was made with another nixpkgs or hive than this one has."""
    model_status: ModelStatus | None = None
    paused: bool = False
    """Whether the operator paused this agent, running turn or not."""
    last_turn_outcome: str | None = None
    context_fill: float | None = None
    """How full the model's context was at the end of the last turn, 0 to 1."""
    port: int | None = None
    """Its port on the host's loopback, which leads to its page."""
    port_conflict: str | None = None
    """Why that port does not work, if it does not."""
    step: Step | None = None
    """The tool call that its running turn waits for, if it waits for one."""
    blocked: Blocked | None = None
    """Why it runs no turn, if something keeps it from one."""
    turn: int | None = None
    """The turn that runs."""
    account: str | None = None
    """Which account pays for it, if the hive has several."""
    is_estimate: bool = False
    """Whether a subscription pays, so that its cost is only an estimate."""
    cost_limit_usd: float | None = None
    """What it may cost today, with what was added for today; None: any amount."""
    cost_hour_usd: float = 0.0
    """What its requests of the last 60 minutes cost, as far as they are finished."""
    cost_hours: tuple[float, ...] = ()
    """What its turns cost in each of the last 24 hours of the clock, the oldest first;
    empty: nothing. A turn counts in the hour in which it ends."""
    warm_bytes: int = 0
    """Memory of the CLI that waits for its next turn; 0: that turn starts one."""
    hosts: tuple[str, ...] = ()
    """The hosts that it may reach without a network."""
    egress: EgressTotals | None = None
    """What its connections to these add up to; None: there were none."""


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
    """The secrets that its requests carry."""
    hosts: tuple[HostUse, ...] = ()
    """The hosts that it asked for, the newest first."""
    accounts: tuple[str, ...] = ()
    """Accounts that may pay for it, the default first, if there are several."""
