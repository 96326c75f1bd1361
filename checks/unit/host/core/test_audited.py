"""The audit log line of each call, or that the call decides nothing.

Who adds a method has to put it here, and so to think of its line. That the lines come
is for the tests of what makes them.
"""

import ast
import re
from pathlib import Path
from typing import Final

from pyglue.api import agent, manager, operator, terminal
from pyglue.api.common import Method
from pyglue.api.event_values import NotificationKind
from pyglue.api.questions import QuestionEnd

ROOT: Final = Path(__file__).resolve().parents[4]

MAKES: Final = {
    # proposals and decisions
    "request_spawn": "proposed",
    "spawn": "proposed",
    "restore": "proposed",
    "submit_commit": "proposed",
    "approve": "approved",
    "deny": "denied",
    "request_changes": "changes_requested",
    "withdraw_proposal": "withdrawn",
    "rollback": "rollback_requested",
    "retry": "change_requested",  # or of what kind the approval was
    "rebuild": "rebuild_requested",
    "rebuild_all": "rebuild_all_requested",
    # operations; what they did is a line too, and that they failed
    "request_spawn_draft": "draft_requested",
    "draft": "draft_requested",
    "draft_discard": "discard_requested",
    "start": "start_requested",
    "stop": "stop_requested",
    "restart": "restart_requested",
    "destroy": "destroy_requested",
    "purge": "purge_requested",
    "import": "import_requested",
    "cancel_operation": "operation_cancelled",
    # questions
    "answer": "question_answered",
    "cancel_question": "question_cancelled",
    "dismiss_question": "question_dismissed",
    # agents at work
    "pause": "pause",
    "pause_all": "pause_all",
    "resume": "resume",
    "resume_all": "resume_all",
    "cancel": "cancel",
    "queue_drop": "message_dropped",
    "queue_later": "message_moved",
    "compact": "compact",
    "new_session": "new_session",
    "set_model": "model",
    "reset_model": "model",
    "set_account": "account",
    "push_subscribe": "push_subscribed",
    "push_remove": "push_removed",
    "terminal_open": "terminal_opened",
    "terminal_close": "terminal_closed",
    # the hive
    "login": "login",
    "login_code": "login_code",
    "logout": "logout",
    "metrics_token": "metrics_token",
    "export": "exported",
    "backup": "backup",
    "repair": "repaired",
    "secret_set": "secret_set",  # or rotated, if it was set
    "secret_rotate": "secret_rotated",
    "secret_remove": "secret_removed",
    "workspace_add": "workspace_added",
    "workspace_remove": "workspace_removed",
}
READS: Final = {
    *("agent", "agent_logs", "agent_ports", "agents", "approval", "approvals"),
    *("compare", "context"),
    *("audit_export", "audit_verify", "doctor", "drafts", "exposure", "history"),
    *("file", "files", "thread"),
    *(
        "inbox",
        "journal",
        "journal_follow",
        "live_text_follow",
        "kept",
        "list_agents",
        "messages",
        "metrics",
        "pairs",
    ),
    *("accounts", "notifications", "secrets", "workspaces"),
    "exposed_secrets",  # the first of a day is in it, as "secret_used"
    *("open_threads", "operation", "operations", "questions", "queue", "stats"),
    *(
        "status",
        "subscribe",
        "terminal_attach",
        "transfer_read",
        "web_origin",
        "whoami",
    ),
}
MAIL: Final = {
    *("ack", "ask", "cancel_reminder", "mark", "recv", "remind", "send"),
    *("steer", "terminal_output", "turn_end", "turn_start", "webhook"),
    "notify_test",
}
"""Messages, turns and what terminals show are no decisions."""
PARTS: Final = {"import_begin", "import_chunk", "submit_begin", "submit_chunk"}
"""Nothing is done before the call that follows."""
TO_AGENTS: Final = {"cancel_turn", "compact_session", "begin_session", "terminal_start"}
"""From hived to a harness, for a call above."""


def _methods() -> set[str]:
    return {
        value.name
        for module in (agent, manager, operator, terminal)
        for value in vars(module).values()
        if isinstance(value, Method)
    }


def test_each_call_is_in_the_log_or_decides_nothing() -> None:
    known = [*MAKES, *READS, *MAIL, *PARTS, *TO_AGENTS]
    assert len(known) == len(set(known))
    assert _methods() - set(known) == set(), "say what these leave in the audit log"
    assert set(known) - _methods() == set()


SEEN: Final = {"proposed", "superseded", "expired", "deployed", "failed", "disk_room"}
"""What is recorded of proposals without a call, and that the disk has space again."""
OTHERWISE: Final = {
    NotificationKind.APPROVAL_RESOLVED,
    NotificationKind.SPAWNED,
    NotificationKind.REBUILT,
    NotificationKind.ROLLED_BACK,
}
"""Notifications of what the log has as the decision, or as ``deployed``."""


def _literals() -> set[str]:
    """Return the kinds that calls of ``audit.record`` spell out."""
    return {
        node.args[1].value
        for path in (ROOT / "pyglue/host").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith("audit.record")
        and isinstance(node.args[1], ast.Constant)
        and isinstance(node.args[1].value, str)
    }


def test_the_guide_lists_every_kind_of_line() -> None:
    guide = (ROOT / "docs/operator-guide.md").read_text()
    table = guide.partition("\n| `what` | |\n")[2].partition("\n\n")[0]
    rows = [row.removeprefix("| ").partition(" | ")[0] for row in table.splitlines()]
    named = set(re.findall(r"`([a-z_]+)`", " ".join(rows)))
    written = {*MAKES.values(), *_literals(), *SEEN}
    written |= {f"question_{how.value}" for how in QuestionEnd}
    written |= {kind.value for kind in NotificationKind if kind not in OTHERWISE}
    asked = {what for what in written if what.endswith("_requested")}
    asked -= {"changes_requested"}
    assert written - asked - named == set()
    assert named - written == set()
