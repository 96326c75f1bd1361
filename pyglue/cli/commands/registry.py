"""The table of the commands that call hived; their code stands by subject beside it."""

from typing import Final

from pyglue.cli.commands import (
    accounts,
    approvals,
    archive,
    control,
    doctor,
    life,
    messages,
    overview,
    queue,
    secret,
    start_stop,
    wakeups,
    workspace,
)
from pyglue.cli.commands.command import Command, agent_argument, no_arguments

COMMANDS: Final = (
    Command(
        "login",
        "print a one-time login link for the dashboard",
        no_arguments,
        overview.login,
    ),
    Command(
        "metrics-token",
        "issue or revoke the token for /metrics",
        overview.metrics_arguments,
        overview.metrics_token,
    ),
    Command("status", "show a summary of the hive", no_arguments, overview.status),
    Command("agents", "list the agents", overview.agents_arguments, overview.agents),
    Command(
        "approvals", "list proposals, newest first", no_arguments, approvals.approvals
    ),
    Command(
        "approval",
        "show a proposal with its diff",
        approvals.approval_arguments,
        approvals.approval,
    ),
    Command(
        "approve",
        "approve the proposal that you reviewed",
        approvals.approve_arguments,
        approvals.approve,
    ),
    Command(
        "deny",
        "deny a proposal with a reason",
        approvals.deny_arguments,
        approvals.deny,
    ),
    Command(
        "request-changes",
        "ask the manager for changes to a proposal, with comments on its lines",
        approvals.request_changes_arguments,
        approvals.request_changes,
    ),
    Command(
        "send", "send a message to an agent", messages.send_arguments, messages.send
    ),
    Command(
        "inbox", "show the operator's inbox", messages.inbox_arguments, messages.inbox
    ),
    Command("spawn", "propose a new agent", approvals.spawn_arguments, approvals.spawn),
    Command("start", "start an agent", agent_argument, start_stop.start),
    Command("stop", "stop an agent", agent_argument, start_stop.stop),
    Command("restart", "restart an agent", agent_argument, start_stop.restart),
    Command(
        "pause",
        "pause an agent, or the whole hive (no new turns)",
        control.pause_arguments,
        control.pause,
    ),
    Command(
        "resume",
        "resume an agent, or the whole hive",
        control.one_or_all,
        control.resume,
    ),
    Command(
        "cancel", "cancel the running turn", control.cancel_arguments, control.cancel
    ),
    Command(
        "queue",
        "list an agent's queued messages; drop one, or move it to the end",
        queue.arguments,
        queue.queue,
    ),
    Command(
        "compact", "compact an agent's conversation", agent_argument, control.compact
    ),
    Command(
        "new-session",
        "let an agent go on in a new session",
        agent_argument,
        control.new_session,
    ),
    Command(
        "model",
        "show or change an agent's model",
        control.model_arguments,
        control.model,
    ),
    Command(
        "workspace",
        "list, add or remove directories that agents may be given",
        workspace.arguments,
        workspace.workspace,
    ),
    Command("accounts", "list the accounts", no_arguments, accounts.accounts),
    Command(
        "account",
        "choose the account that pays for an agent",
        accounts.account_arguments,
        accounts.account,
    ),
    Command(
        "secret",
        "list, set, rotate or remove secrets",
        secret.arguments,
        secret.secret,
    ),
    Command(
        "wakeups", "show what wakes an agent, and when", agent_argument, wakeups.wakeups
    ),
    Command("drafts", "list agents in draft", no_arguments, life.drafts),
    Command(
        "draft", "create a draft for a new agent", approvals.spawn_arguments, life.draft
    ),
    Command("discard", "discard a draft", life.certain_arguments, life.discard),
    Command("kept", "list the kept state of destroyed agents", no_arguments, life.kept),
    Command(
        "destroy",
        "destroy an agent; its state is kept until purged",
        life.certain_arguments,
        life.destroy,
    ),
    Command(
        "restore", "propose to restore a destroyed agent", agent_argument, life.restore
    ),
    Command(
        "purge",
        "permanently delete the kept state of a destroyed agent",
        life.certain_arguments,
        life.purge,
    ),
    Command(
        "compare",
        "show what differs between two versions of an agent",
        life.compare_arguments,
        life.compare,
    ),
    Command(
        "rollback",
        "deploy an earlier approval again",
        life.rollback_arguments,
        life.rollback,
    ),
    Command(
        "retry",
        "deploy a failed approval once more",
        life.retry_arguments,
        life.retry,
    ),
    Command(
        "rebuild",
        "rebuild the deployed systems, unchanged",
        control.one_or_all,
        life.rebuild,
    ),
    Command(
        "operations",
        "list operations, newest first",
        no_arguments,
        life.operations,
    ),
    Command(
        "cancel-operation",
        "cancel a queued or building operation",
        life.cancel_arguments,
        life.cancel_operation,
    ),
    Command(
        "export",
        "export an agent to a file",
        archive.export_arguments,
        archive.export,
    ),
    Command(
        "import",
        "import an agent from a file",
        archive.import_arguments,
        archive.import_agent,
    ),
    Command(
        "backup",
        "back up the whole hive to a file while it runs",
        archive.backup_arguments,
        archive.backup,
    ),
    Command(
        "doctor",
        "diagnose problems; --repair: repair inconsistencies",
        doctor.arguments,
        doctor.doctor,
    ),
)
