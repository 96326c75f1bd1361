"""The calls of the operator's socket: everything that the CLI and dashboard use.

Calls from hive-web's user need a valid session (its token is part of ``hello``); only
``login`` works without one. The CLI is identified by its user id.
"""

from typing import Final

from pyglue.api.accounts import AccountsResult, SetAccountParams
from pyglue.api.approvals import (
    ApprovalDetail,
    ApprovalParams,
    ApprovalsParams,
    ApprovalsResult,
    ApproveParams,
    CompareParams,
    Comparison,
    ContextParams,
    ContextResult,
    DenyParams,
    RequestChangesParams,
)
from pyglue.api.archive import (
    BackupParams,
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
from pyglue.api.common import Done, Method, NoParams, Note, OperationRef
from pyglue.api.control import (
    CancelTurnOfParams,
    ModelStatus,
    PauseAllParams,
    PauseParams,
    SetModelParams,
)
from pyglue.api.doctor import DoctorResult
from pyglue.api.events import Event, GapParams, SubscribeParams, SubscribeResult
from pyglue.api.exposure import ExposureResult
from pyglue.api.files import FileChunk, FileParams, FilesParams, FilesResult
from pyglue.api.inbox import (
    InboxParams,
    InboxResult,
    MarkParams,
    MessagesParams,
    MessagesResult,
    OperatorSendParams,
    PairsParams,
    PairsResult,
    SentResult,
    ThreadParams,
    ThreadResult,
)
from pyglue.api.journal import JournalNews, JournalPage, JournalParams
from pyglue.api.lifecycle import DraftsResult, KeptResult, PurgeParams, RollbackParams
from pyglue.api.live_text import LiveTextFollowParams, LiveTextParams
from pyglue.api.logins import (
    LoginCodeResult,
    LoginParams,
    LoginResult,
    LogoutParams,
    WebOriginResult,
)
from pyglue.api.manager import AgentParams, DraftResult, ProposalResult, SpawnParams
from pyglue.api.metrics import (
    AgentPortsParams,
    AgentPortsResult,
    HistoryPage,
    HistoryParams,
    MetricSeriesParams,
    MetricSeriesResult,
    MetricsResult,
    MetricsTokenParams,
    MetricsTokenResult,
)
from pyglue.api.operations import (
    CancelOperationParams,
    Operation,
    OperationParams,
    OperationsResult,
)
from pyglue.api.overview import AgentDetail, AgentsView, HiveStatus
from pyglue.api.push import (
    NotificationsResult,
    PushBrowser,
    PushRemoveParams,
    PushSubscribeParams,
)
from pyglue.api.questions import AnswerParams, DismissParams, QuestionsResult
from pyglue.api.queue import QueueChangeParams, QueueParams, QueueResult
from pyglue.api.secrets import SecretParams, SecretSetParams, SecretsResult
from pyglue.api.wakeups import WebhookParams, WebhookResult
from pyglue.api.workspaces import WorkspaceAddParams, WorkspaceParams, WorkspacesResult

# --- sessions -----------------------------------------------------------------

LOGIN_CODE: Final = Method("login_code", NoParams, LoginCodeResult)
"""CLI only: a session cannot create another one."""
LOGIN: Final = Method("login", LoginParams, LoginResult)
WEB_ORIGIN: Final = Method("web_origin", NoParams, WebOriginResult)
"""For hive-web without a session, and the CLI: the only address with sessions."""
LOGOUT: Final = Method("logout", LogoutParams, Done)


# --- the hive -------------------------------------------------------------------

STATUS: Final = Method("status", NoParams, HiveStatus)
DOCTOR: Final = Method("doctor", NoParams, DoctorResult)
EXPOSURE: Final = Method("exposure", NoParams, ExposureResult)
"""Every listener, who can reach it, and the user it runs as."""
REPAIR: Final = Method("repair", NoParams, RepairResult)
"""CLI only. Repairs the inconsistencies that ``doctor`` reports as repairable."""


# --- agents ---------------------------------------------------------------------

AGENTS: Final = Method("agents", NoParams, AgentsView)
AGENT: Final = Method("agent", AgentParams, AgentDetail)
SPAWN: Final = Method("spawn", SpawnParams, ProposalResult)


# --- the life of an agent -------------------------------------------------------

DRAFTS: Final = Method("drafts", NoParams, DraftsResult)
DRAFT: Final = Method("draft", SpawnParams, DraftResult)
DRAFT_DISCARD: Final = Method("draft_discard", AgentParams, OperationRef)
DESTROY: Final = Method("destroy", AgentParams, OperationRef)
"""Stops and removes the agent; its repositories, state and session are kept."""
KEPT: Final = Method("kept", NoParams, KeptResult)
RESTORE: Final = Method("restore", AgentParams, ProposalResult)
"""Proposes the last deployed version; approving it brings the agent back."""
PURGE: Final = Method("purge", PurgeParams, OperationRef)
ROLLBACK: Final = Method("rollback", RollbackParams, OperationRef)
"""A new commit on main with the old files, approved by this call."""
RETRY: Final = Method("retry", ApprovalParams, OperationRef)
"""Deploys the contents of a failed approval once more, as a new approval."""
REBUILD_ALL: Final = Method("rebuild_all", NoParams, OperationRef)
"""One agent after another; stops at the first failure."""


# --- agents at work ---------------------------------------------------------------

PAUSE: Final = Method("pause", PauseParams, Done)
RESUME: Final = Method("resume", AgentParams, Done)
"""Also makes an agent retry that is waiting for a login or a limit."""
PAUSE_ALL: Final = Method("pause_all", PauseAllParams, Done)
RESUME_ALL: Final = Method("resume_all", NoParams, Done)
CANCEL_TURN_OF: Final = Method("cancel", CancelTurnOfParams, Done)
QUEUE: Final = Method("queue", QueueParams, QueueResult)
QUEUE_DROP: Final = Method("queue_drop", QueueChangeParams, Done)
QUEUE_LATER: Final = Method("queue_later", QueueChangeParams, Done)
COMPACT: Final = Method("compact", AgentParams, Done)
NEW_SESSION: Final = Method("new_session", AgentParams, Done)
"""The next turn starts a new session with the notes and the last messages.

The transcript of the old one is kept.
"""
SET_MODEL: Final = Method("set_model", SetModelParams, ModelStatus)
RESET_MODEL: Final = Method("reset_model", AgentParams, ModelStatus)
ACCOUNTS: Final = Method("accounts", NoParams, AccountsResult)
SET_ACCOUNT: Final = Method("set_account", SetAccountParams, Done)
"""Only the operator chooses an agent's account; no agent.nix can."""


# --- approvals ------------------------------------------------------------------

APPROVALS: Final = Method("approvals", ApprovalsParams, ApprovalsResult)
APPROVAL: Final = Method("approval", ApprovalParams, ApprovalDetail)
COMPARE: Final = Method("compare", CompareParams, Comparison)
"""Compares two versions of an agent, for example before a rollback."""
CONTEXT: Final = Method("context", ContextParams, ContextResult)
"""Unchanged lines around the changes that ``approval`` shows."""
APPROVE: Final = Method("approve", ApproveParams, OperationRef)
DENY: Final = Method("deny", DenyParams, Done)
REQUEST_CHANGES: Final = Method("request_changes", RequestChangesParams, Done)
"""Ends the proposal, like ``deny``; the manager gets everything in one message."""


# --- operations -----------------------------------------------------------------

OPERATION: Final = Method("operation", OperationParams, Operation)
OPERATIONS: Final = Method("operations", NoParams, OperationsResult)
CANCEL_OPERATION: Final = Method("cancel_operation", CancelOperationParams, Done)


# --- webhooks ---------------------------------------------------------------------

WEBHOOK: Final = Method("webhook", WebhookParams, WebhookResult)
"""hive-web only, without a session: the signature authenticates the delivery."""


# --- notifications outside ----------------------------------------------------------

NOTIFICATIONS: Final = Method("notifications", NoParams, NotificationsResult)
NOTIFY_TEST: Final = Method("notify_test", NoParams, Done)
PUSH_SUBSCRIBE: Final = Method("push_subscribe", PushSubscribeParams, PushBrowser)
PUSH_REMOVE: Final = Method("push_remove", PushRemoveParams, Done)


# --- secrets ----------------------------------------------------------------------

SECRETS: Final = Method("secrets", NoParams, SecretsResult)
"""Lists the names that are set. No call returns a value."""
SECRET_SET: Final = Method("secret_set", SecretSetParams, Done)
"""CLI only, like ``secret_rotate`` and ``secret_remove``."""
SECRET_ROTATE: Final = Method("secret_rotate", SecretSetParams, Done)
SECRET_REMOVE: Final = Method("secret_remove", SecretParams, Done)
WORKSPACES: Final = Method("workspaces", NoParams, WorkspacesResult)
"""Directories of the host that agents can use by name."""
WORKSPACE_ADD: Final = Method("workspace_add", WorkspaceAddParams, Done)
"""CLI only, like ``workspace_remove``."""
WORKSPACE_REMOVE: Final = Method("workspace_remove", WorkspaceParams, Done)


# --- messages and questions -------------------------------------------------------

OPERATOR_SEND: Final = Method("send", OperatorSendParams, SentResult)
INBOX: Final = Method("inbox", InboxParams, InboxResult)
MARK: Final = Method("mark", MarkParams, Done)
MESSAGES: Final = Method("messages", MessagesParams, MessagesResult)
PAIRS: Final = Method("pairs", PairsParams, PairsResult)
THREAD: Final = Method("thread", ThreadParams, ThreadResult)
QUESTIONS: Final = Method("questions", NoParams, QuestionsResult)
OPERATOR_ANSWER: Final = Method("answer", AnswerParams, Done)
DISMISS: Final = Method("dismiss_question", DismissParams, Done)


# --- logs -------------------------------------------------------------------------

JOURNAL: Final = Method("journal", JournalParams, JournalPage)
JOURNAL_FOLLOW: Final = Method("journal_follow", JournalParams, JournalPage)
"""Like ``journal``; later lines arrive as ``journal_news`` until the connection ends.
One log per connection."""
JOURNAL_NEWS: Final = Note("journal_news", JournalNews)


LIVE_TEXT_FOLLOW: Final = Method("live_text_follow", LiveTextFollowParams, Done)
"""The output of the agent's model arrives as ``live_text`` until the connection ends:
always the newest text, and keep-alives. One agent per connection."""
LIVE_TEXT: Final = Note("live_text", LiveTextParams)


# --- files ------------------------------------------------------------------------

FILES: Final = Method("files", FilesParams, FilesResult)
FILE: Final = Method("file", FileParams, FileChunk)


# --- events -----------------------------------------------------------------------

SUBSCRIBE: Final = Method("subscribe", SubscribeParams, SubscribeResult)
EVENT: Final = Note("event", Event)
GAP: Final = Note("gap", GapParams)


# --- metrics and history ------------------------------------------------------------

METRIC_SERIES: Final = Method("stats", MetricSeriesParams, MetricSeriesResult)
HISTORY: Final = Method("history", HistoryParams, HistoryPage)
METRICS: Final = Method("metrics", NoParams, MetricsResult)
METRICS_TOKEN: Final = Method("metrics_token", MetricsTokenParams, MetricsTokenResult)
"""CLI only. The token is valid for ``metrics`` only."""
AGENT_PORTS: Final = Method("agent_ports", AgentPortsParams, AgentPortsResult)
"""hive-web only, without a session: the names and ports that it binds."""


# --- the audit log --------------------------------------------------------------------

AUDIT_VERIFY: Final = Method("audit_verify", AuditVerifyParams, AuditVerdict)
AUDIT_EXPORT: Final = Method("audit_export", AuditExportParams, AuditExportResult)


# --- archives -----------------------------------------------------------------------

EXPORT: Final = Method("export", ExportParams, TransferRef)
"""CLI only, like all of these. Read the archive with ``transfer_read``."""
BACKUP: Final = Method("backup", BackupParams, TransferRef)
"""The whole hive at this moment; it contains the key of the audit log."""
TRANSFER_READ: Final = Method("transfer_read", TransferParams, TransferChunk)
IMPORT_BEGIN: Final = Method("import_begin", NoParams, TransferRef)
IMPORT_CHUNK: Final = Method("import_chunk", ImportChunkParams, Done)
IMPORT: Final = Method("import", ImportParams, ImportResult)
"""Checks the archive; the agent starts only after an approval, like any other."""
