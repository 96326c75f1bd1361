"""What the operator's socket offers: the CLI and the dashboard call nothing else.

Calls from hive-web's user need a live session (the token goes into ``hello``);
only ``login`` works without. The CLI is known by its user id.
"""

from enum import StrEnum
from typing import Annotated, Any, Final

from msgspec import Meta

from pyglue.api.agent import (
    BODY_LIMIT,
    AnswerParams,
    Body,
    Message,
    MessageKind,
    Priority,
)
from pyglue.api.archive import (
    ExportParams,
    ImportChunkParams,
    ImportParams,
    ImportResult,
    RepairResult,
    TransferChunk,
    TransferParams,
    TransferRef,
)
from pyglue.api.audit import (
    AuditExportParams,
    AuditExportResult,
    AuditVerdict,
    AuditVerifyParams,
)
from pyglue.api.common import (
    AgentName,
    AgentState,
    Done,
    HexSha,
    Id,
    Method,
    NoParams,
    Note,
    OperationRef,
    Params,
    Result,
    Role,
    ShortText,
)
from pyglue.api.control import (
    CancelTurnOfParams,
    ModelStatus,
    PauseAllParams,
    PauseParams,
    SetModelParams,
)
from pyglue.api.diff import FileDiff
from pyglue.api.journal import JournalNews, JournalPage, JournalParams
from pyglue.api.manager import AgentParams, DraftResult, ProposalResult, SpawnParams
from pyglue.api.system import SystemDetail
from pyglue.api.telemetry import (
    AgentPortsParams,
    AgentPortsResult,
    HistoryParams,
    MetricsTokenParams,
    MetricsTokenResult,
    StatsParams,
    StatsResult,
)

# --- sessions -----------------------------------------------------------------


class LoginCodeResult(Result, frozen=True):
    """A one-time code; open ``url`` before ``expires_at``."""

    code: str
    url: str
    expires_at: float


LOGIN_CODE: Final = Method("login_code", NoParams, LoginCodeResult)
"""CLI only: a session cannot make another one."""


class LoginParams(Params, frozen=True):
    """Exchange a one-time code for a session."""

    code: Annotated[str, Meta(max_length=256)]


class LoginResult(Result, frozen=True):
    """The session's token (kept in the cookie) and when it ends."""

    session: str
    expires_at: float


LOGIN: Final = Method("login", LoginParams, LoginResult)


class LogoutParams(Params, frozen=True):
    """End a session."""

    session: Annotated[str, Meta(max_length=256)]


LOGOUT: Final = Method("logout", LogoutParams, Done)


# --- the hive -------------------------------------------------------------------


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
    paused: bool = False
    """Whether the operator stopped the whole hive."""


STATUS: Final = Method("status", NoParams, HiveStatus)


class CheckState(StrEnum):
    """Outcome of one of doctor's checks."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Check(Result, frozen=True):
    """One thing that doctor looked at, and what to do about it."""

    name: str
    state: CheckState
    message: str
    repair: str | None = None
    """What ``repair`` would do about it, where it can."""


class DoctorResult(Result, frozen=True):
    """All checks, worst first."""

    checks: tuple[Check, ...]


DOCTOR: Final = Method("doctor", NoParams, DoctorResult)
REPAIR: Final = Method("repair", NoParams, RepairResult)
"""CLI only. Mends what ``doctor`` says that it can."""


# --- agents ---------------------------------------------------------------------


class AgentView(Result, frozen=True):
    """An agent as the operator sees it.

    ``wanted`` is whether it should run; ``state`` what it does, ``since_at`` since
    when; ``model`` what its next turn uses; ``problem`` what went wrong last, if
    anything.
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


class AgentsView(Result, frozen=True):
    """All agents, the manager first, then by name."""

    agents: tuple[AgentView, ...]


AGENTS: Final = Method("agents", NoParams, AgentsView)


class AgentDetail(Result, frozen=True):
    """One agent with what is pinned for it."""

    agent: AgentView
    manifest_json: str | None
    agent_nix: str | None
    approvals: tuple["ApprovalSummary", ...]
    log_tail: tuple[str, ...]


AGENT: Final = Method("agent", AgentParams, AgentDetail)
SPAWN: Final = Method("spawn", SpawnParams, ProposalResult)


# --- the life of an agent -------------------------------------------------------


class DraftView(Result, frozen=True):
    """A draft: repository and state of an agent that does not run yet."""

    name: str
    created_at: float
    by: str
    description: str
    main: str | None
    pending_approval: int | None


class DraftsResult(Result, frozen=True):
    """All drafts, by name."""

    drafts: tuple[DraftView, ...]


DRAFTS: Final = Method("drafts", NoParams, DraftsResult)
DRAFT: Final = Method("draft", SpawnParams, DraftResult)
DRAFT_DISCARD: Final = Method("draft_discard", AgentParams, OperationRef)
DESTROY: Final = Method("destroy", AgentParams, OperationRef)
"""Stops and removes the agent; its repositories, state and session are kept."""


class KeptPart(Result, frozen=True):
    """One thing that is kept: what it is, where it lies, what it takes on disk."""

    what: str
    path: str
    bytes: int


class KeptView(Result, frozen=True):
    """What is kept of a destroyed agent. ``commit`` is what ran last, if anything."""

    name: str
    destroyed_at: float
    by: str
    description: str
    commit: str | None
    approval: int | None
    manifest_sha256: str | None
    manifest_json: str | None
    pending_approval: int | None
    mail: int
    """How many messages wait for it; purging lets them go."""
    bytes: int
    parts: tuple[KeptPart, ...]


class KeptResult(Result, frozen=True):
    """All that is kept, by name."""

    kept: tuple[KeptView, ...]


KEPT: Final = Method("kept", NoParams, KeptResult)
RESTORE: Final = Method("restore", AgentParams, ProposalResult)
"""Proposes what ran last; the agent comes back when that is approved."""


class PurgeParams(Params, frozen=True):
    """Remove all that is kept of a name, for good; ``confirm`` repeats the name."""

    agent: AgentName
    confirm: AgentName


PURGE: Final = Method("purge", PurgeParams, OperationRef)


class RollbackParams(Params, frozen=True):
    """Deploy again what ``approval`` deployed earlier."""

    agent: AgentName
    approval: Id


ROLLBACK: Final = Method("rollback", RollbackParams, OperationRef)
"""A new commit on main with the old files, approved by this call."""
REBUILD_ALL: Final = Method("rebuild_all", NoParams, OperationRef)
"""One agent after another; stops at the first that fails."""


# --- agents at work ---------------------------------------------------------------

PAUSE: Final = Method("pause", PauseParams, Done)
RESUME: Final = Method("resume", AgentParams, Done)
"""Also ends the wait of an agent that needed a login or hit a limit: it tries again."""
PAUSE_ALL: Final = Method("pause_all", PauseAllParams, Done)
RESUME_ALL: Final = Method("resume_all", NoParams, Done)
CANCEL_TURN_OF: Final = Method("cancel", CancelTurnOfParams, Done)
COMPACT: Final = Method("compact", AgentParams, Done)
SET_MODEL: Final = Method("set_model", SetModelParams, ModelStatus)
RESET_MODEL: Final = Method("reset_model", AgentParams, ModelStatus)


# --- approvals ------------------------------------------------------------------


class ApprovalKind(StrEnum):
    """What approving does."""

    SPAWN = "spawn"
    CHANGE = "change"
    RESTORE = "restore"
    ROLLBACK = "rollback"
    REBUILD = "rebuild"


class ApprovalState(StrEnum):
    """Where a proposal stands."""

    PENDING = "pending"
    DENIED = "denied"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    APPROVED = "approved"
    BUILDING = "building"
    DEPLOYED = "deployed"
    FAILED = "failed"


class Effect(StrEnum):
    """What a change of one option does to the agent's power."""

    WIDENS = "widens"
    NARROWS = "narrows"
    BEHAVIOUR = "changes behaviour"
    NEUTRAL = "neutral"


class PolicyChange(Result, frozen=True):
    """One option that changes, in words. ``before``/``after`` are JSON text."""

    option: str
    effect: Effect
    sentence: str
    before: str | None
    after: str | None


class ApprovalSummary(Result, frozen=True):
    """A row of the approval queue."""

    id: int
    agent: str
    kind: ApprovalKind
    state: ApprovalState
    commit: str
    manifest_sha256: str
    description: str
    proposed_by: str
    created_at: float
    decided_at: float | None
    decided_by: str | None
    reason: str | None
    widens: tuple[str, ...]
    operation: int | None


class ApprovalsParams(Params, frozen=True):
    """Filter the queue; newest first."""

    state: ApprovalState | None = None
    agent: AgentName | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class ApprovalsResult(Result, frozen=True):
    """The rows."""

    approvals: tuple[ApprovalSummary, ...]


APPROVALS: Final = Method("approvals", ApprovalsParams, ApprovalsResult)


class DiffBase(StrEnum):
    """What a proposal is compared with."""

    RUNNING = "running"
    APPROVED = "approved"
    PREVIOUS = "previous"


class DiffSet(Result, frozen=True):
    """The files that differ from one base; ``commit`` None means: from nothing."""

    base: DiffBase
    commit: str | None
    files: tuple[FileDiff, ...]


class ApprovalParams(Params, frozen=True):
    """Names an approval."""

    id: Id


class ApprovalDetail(Result, frozen=True):
    """Everything that the operator judges, pinned by commit and manifest hash."""

    approval: ApprovalSummary
    author: str
    message: str
    policy: tuple[PolicyChange, ...]
    diffs: tuple[DiffSet, ...]
    manifest_json: str
    manifest_before_json: str | None
    system: SystemDetail | None = None
    """Its NixOS system: packages, build log, closure; None on the local backend."""


APPROVAL: Final = Method("approval", ApprovalParams, ApprovalDetail)


class ApproveParams(Params, frozen=True):
    """Approve exactly what was seen."""

    id: Id
    commit: HexSha
    manifest: HexSha


APPROVE: Final = Method("approve", ApproveParams, OperationRef)


class DenyParams(Params, frozen=True):
    """Deny with a reason; the manager reads it."""

    id: Id
    reason: Annotated[str, Meta(min_length=1, max_length=8192)]


DENY: Final = Method("deny", DenyParams, Done)


# --- operations -----------------------------------------------------------------


class OperationKind(StrEnum):
    """What hived does in steps."""

    SPAWN = "spawn"
    DEPLOY = "deploy"
    START = "start"
    STOP = "stop"
    RESTART = "restart"
    DRAFT = "draft"
    DISCARD = "discard"
    DESTROY = "destroy"
    RESTORE = "restore"
    PURGE = "purge"
    ROLLBACK = "rollback"
    REBUILD = "rebuild"
    REBUILD_ALL = "rebuild_all"
    IMPORT = "import"


class OperationState(StrEnum):
    """Where an operation stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Operation(Result, frozen=True):
    """An operation's row; that of the whole hive has the agent ``hive``."""

    id: int
    kind: OperationKind
    agent: str
    state: OperationState
    step: str
    approval: int | None
    error: str | None
    requested_by: str
    created_at: float
    finished_at: float | None
    note: str = ""
    """What it has to say beside step and error."""


class OperationParams(Params, frozen=True):
    """Names an operation; with ``wait_seconds`` answers when it ends or time is up."""

    id: Id
    wait_seconds: Annotated[float, Meta(ge=0, le=180)] = 0.0


OPERATION: Final = Method("operation", OperationParams, Operation)


class OperationsResult(Result, frozen=True):
    """The newest operations."""

    operations: tuple[Operation, ...]


OPERATIONS: Final = Method("operations", NoParams, OperationsResult)


# --- messages and questions -------------------------------------------------------


class OperatorSendParams(Params, frozen=True):
    """The operator writes to an agent, or to ``all`` of them."""

    to: AgentName
    body: Body
    reply_to: Id | None = None
    priority: Priority = Priority.NORMAL


class SentResult(Result, frozen=True, omit_defaults=True):
    """The durable message's id (the last one, of several).

    ``missed`` are agents whose inbox was full when everyone was written to.
    """

    id: int
    missed: tuple[str, ...] = ()


OPERATOR_SEND: Final = Method("send", OperatorSendParams, SentResult)


Clip = Annotated[int, Meta(ge=1, le=BODY_LIMIT)]


class ShownMessage(Message, frozen=True):
    """A message as a list shows it."""

    left_out: int = 0
    """How many characters of the body ``clip`` left out."""


class InboxParams(Params, frozen=True):
    """The operator's inbox, newest first; ``clip`` is the most of each body."""

    unread_only: bool = False
    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    clip: Clip | None = None


class InboxMessage(Result, frozen=True):
    """A message to the operator."""

    message: ShownMessage
    read: bool


class InboxResult(Result, frozen=True):
    """The messages."""

    messages: tuple[InboxMessage, ...]


INBOX: Final = Method("inbox", InboxParams, InboxResult)


class MarkReadParams(Params, frozen=True):
    """Mark one message of the operator's inbox as read."""

    id: Id


MARK_READ: Final = Method("mark_read", MarkReadParams, Done)


class MessagesParams(Params, frozen=True):
    """The flow of all messages, newest first, older than ``before``.

    ``agent`` sent or got them; ``text`` is in their body, whatever its case; ``clip``
    is the most characters of each body that are wanted.
    """

    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    before: Id | None = None
    agent: AgentName | None = None
    kind: MessageKind | None = None
    text: Annotated[str, Meta(max_length=200)] = ""
    clip: Clip | None = None


class MessagesResult(Result, frozen=True):
    """The messages."""

    messages: tuple[ShownMessage, ...]


MESSAGES: Final = Method("messages", MessagesParams, MessagesResult)


class QuestionEnd(StrEnum):
    """How a question ended; dismissed is the operator's word, cancelled the asker's."""

    ANSWERED = "answered"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    DISMISSED = "dismissed"


class QuestionView(Result, frozen=True):
    """A question, open or ended; ``ended`` is None while it is open."""

    id: int
    asker: str
    to: str
    question: str
    options: tuple[str, ...]
    multi: bool
    asked_at: float
    expires_at: float | None
    answered_at: float | None
    answer: str | None
    ended: QuestionEnd | None = None


class QuestionsResult(Result, frozen=True):
    """Open questions to the operator first, then the newest others."""

    questions: tuple[QuestionView, ...]


QUESTIONS: Final = Method("questions", NoParams, QuestionsResult)
OPERATOR_ANSWER: Final = Method("answer", AnswerParams, Done)


class DismissParams(Params, frozen=True):
    """Close an open question without an answer; the asker reads the reason."""

    question: Id
    reason: ShortText = ""


DISMISS: Final = Method("dismiss_question", DismissParams, Done)


# --- logs -------------------------------------------------------------------------


JOURNAL: Final = Method("journal", JournalParams, JournalPage)
JOURNAL_FOLLOW: Final = Method("journal_follow", JournalParams, JournalPage)
"""As ``journal``; what comes after it arrives as ``journal_news`` until the
connection ends. One log a connection."""
JOURNAL_NEWS: Final = Note("journal_news", JournalNews)


# --- events -----------------------------------------------------------------------


class Event(Params, frozen=True):
    """Something happened. ``seq`` grows by one; ``kind`` is ``room.what``.

    Kinds: ``agent.state``, ``agent.changed``, ``agent.server``, ``turn.started``,
    ``turn.ended``, ``turn.event``, ``message.sent``, ``message.taken``,
    ``approval.created``, ``approval.changed``, ``approval.build``,
    ``operation.changed``, ``question.asked``, ``question.answered``, ``hive.warning``.
    """

    seq: int
    at: float
    kind: str
    agent: str | None
    data: dict[str, Any]


class SubscribeParams(Params, frozen=True):
    """Start the event stream after ``since``; None means from now on."""

    since: Annotated[int, Meta(ge=0)] | None = None


class SubscribeResult(Result, frozen=True):
    """``seq`` is the newest event at this moment."""

    seq: int


SUBSCRIBE: Final = Method("subscribe", SubscribeParams, SubscribeResult)
EVENT: Final = Note("event", Event)


class GapParams(Params, frozen=True):
    """Events up to ``seq`` were left out: read the pages' data again."""

    seq: int
    reason: ShortText


GAP: Final = Note("gap", GapParams)


# --- telemetry and history ----------------------------------------------------------


STATS: Final = Method("stats", StatsParams, StatsResult)


class HistoryPage(Result, frozen=True):
    """Events of one agent's turns, oldest first.

    Subscribe after ``seq`` to see what follows, each event once. ``more`` are there in
    the direction that was asked for; ``is_cut`` says that some after ``after`` are not
    kept any more.
    """

    events: tuple[Event, ...]
    seq: int
    more: bool
    is_cut: bool


HISTORY: Final = Method("history", HistoryParams, HistoryPage)


class Total(Result, frozen=True):
    """One figure since the beginning, and its newest value."""

    agent: str
    key: str
    count: int
    total: float
    last: float


class MetricsResult(Result, frozen=True):
    """All that ``/metrics`` shows."""

    status: HiveStatus
    agents: tuple[AgentView, ...]
    totals: tuple[Total, ...]


METRICS: Final = Method("metrics", NoParams, MetricsResult)
METRICS_TOKEN: Final = Method("metrics_token", MetricsTokenParams, MetricsTokenResult)
"""CLI only. The token answers to ``metrics`` and nothing else."""
AGENT_PORTS: Final = Method("agent_ports", AgentPortsParams, AgentPortsResult)
"""hive-web only, without a session: the names and ports that it binds."""


# --- the audit log --------------------------------------------------------------------


AUDIT_VERIFY: Final = Method("audit_verify", AuditVerifyParams, AuditVerdict)
AUDIT_EXPORT: Final = Method("audit_export", AuditExportParams, AuditExportResult)


# --- archives -----------------------------------------------------------------------


EXPORT: Final = Method("export", ExportParams, TransferRef)
"""CLI only, as all of these. Read it with ``transfer_read``."""
BACKUP: Final = Method("backup", NoParams, TransferRef)
"""The whole hive, of this moment; it holds the key of the audit log."""
TRANSFER_READ: Final = Method("transfer_read", TransferParams, TransferChunk)
IMPORT_BEGIN: Final = Method("import_begin", NoParams, TransferRef)
IMPORT_CHUNK: Final = Method("import_chunk", ImportChunkParams, Done)
IMPORT: Final = Method("import", ImportParams, ImportResult)
"""Checks what was sent; the agent's start waits for an approval like any other's."""
