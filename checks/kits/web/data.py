"""A hive's data as the dashboard's tests see it: realistic, and every state of it."""

import difflib
import hashlib
import time
from pathlib import Path
from typing import Any

import msgspec

from pyglue.api.approvals import (
    ApprovalDetail,
    ApprovalKind,
    ApprovalState,
    ApprovalSummary,
    ChangesRequested,
    Danger,
    DiffBase,
    DiffSet,
    Effect,
    PolicyChange,
    QuotedComment,
)
from pyglue.api.audit import AuditEntry
from pyglue.api.common import AgentState, Role
from pyglue.api.diff import DiffLine, FileDiff, FileStatus, Hunk, LineKind
from pyglue.api.doctor import Check, CheckState
from pyglue.api.lifecycle import DraftView, KeptPart, KeptView
from pyglue.api.messages import Message, MessageKind, Priority
from pyglue.api.overview import AgentView, HivePause
from pyglue.api.push import BrowserView
from pyglue.api.questions import QuestionView

NOW = time.time()
STUCK = (
    AgentState.NEEDS_LOGIN,
    AgentState.OVER_BUDGET,
    AgentState.NO_CREDIT,
    AgentState.RATE_LIMITED,
    AgentState.RETRYING,
    AgentState.DISK_FULL,
)
"""The states of an agent that is resumed once its trouble is over."""
ROOT = Path(__file__).resolve().parent.parent.parent.parent
NIX_BEFORE = (ROOT / "agents/alice/agent.nix").read_text()
NIX_AFTER = NIX_BEFORE.replace('model = "haiku";', 'model = "sonnet";').replace(
    "    allowedRecipients = [\n",
    '    allowedTools = [\n      "Bash"\n      "Read"\n    ];\n'
    '    bash.allow = [ "git log *" ]; # to read the project\'s history\n'
    "    allowedRecipients = [\n",
)
MANIFEST = '{"model":"sonnet","allowedTools":["Bash","Read"],"network":false}'


def sha(text: str, digits: int = 40) -> str:
    """Return a hex string made from ``text``."""
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def agent(name: str, **fields: object) -> AgentView:
    """Return an agent that idles, with ``fields`` changed."""
    values: dict[str, object] = {
        "name": name,
        "role": Role.AGENT,
        "wanted": True,
        "state": AgentState.IDLE,
        "since_at": NOW - 340,
        "detail": None,
        "description": "Answers questions about the project",
        "model": "haiku",
        "network": False,
        "manifest_sha256": sha(name + "manifest", 64),
        "deployed_commit": sha(name + "commit"),
        "deployed_approval": 3,
        "pending_approval": None,
        "inbox": 0,
        "turns": 41,
        "last_turn_at": NOW - 350,
        "cost_today_usd": 0.42,
        "problem": None,
        **fields,
    }
    return AgentView(**values)  # type: ignore[arg-type]


def agents() -> list[AgentView]:
    """Return one agent of each kind that looks different."""
    return [
        agent(
            "manager",
            role=Role.MANAGER,
            state=AgentState.THINKING,
            description="Creates and changes the other agents",
            model="sonnet",
            cost_today_usd=3.18,
            cost_limit_usd=10.0,
            cost_hour_usd=0.4,
            cost_hours=(
                *[0.0] * 13,
                *[0.2, 0.3, 0.1, 0.5, 0.4, 0.6, 0.3, 0.4],
                *[0.13] * 3,
            ),
            since_at=NOW - 12,
            inbox=2,
        ),
        agent("alice", pending_approval=7),
        agent(
            "bob",
            state=AgentState.FAILED,
            wanted=True,
            network=True,
            problem="The MCP server “tickets” did not connect: exit status 1.",
            description="Watches the issue tracker",
        ),
        agent(
            "carol",
            state=AgentState.RATE_LIMITED,
            detail="until 14:30 UTC",
            description="Reviews pull requests",
            model="opus",
            cost_today_usd=12.5,
            cost_limit_usd=20.0,
            cost_hour_usd=2.5,
            cost_hours=(*[0.0] * 16, 0.5, 1.5, 2.5, 2.0, 0.0, 1.0, 3.0, 2.0),
            inbox=14,
        ),
        agent("dave", state=AgentState.STOPPED, wanted=False, last_turn_at=None),
    ]


def pause() -> HivePause:
    """Return a stop of the whole hive."""
    return HivePause("session 5e6f7a8b", NOW - 90, "Costs explode")


def kept(name: str, **fields: object) -> KeptView:
    """Return what is kept of an agent, with ``fields`` changed."""
    values: dict[str, object] = {
        "name": name,
        "destroyed_at": NOW - 8000,
        "by": "session 1a2b3c4d",
        "description": "Kept the changelog",
        "commit": sha(name + "commit"),
        "approval": 3,
        "manifest_sha256": sha(name + "manifest", 64),
        "manifest_json": MANIFEST,
        "pending_approval": None,
        "messages": 2,
        "bytes": 3_400_000,
        "parts": (
            KeptPart(what="state", path=f"agents/{name}/state", bytes=3_000_000),
            KeptPart(what="repository", path=f"applied/{name}.git", bytes=400_000),
        ),
        **fields,
    }
    return KeptView(**values)  # type: ignore[arg-type]


def draft(name: str, **fields: object) -> DraftView:
    """Return a draft, with ``fields`` changed."""
    values: dict[str, object] = {
        "name": name,
        "created_at": NOW - 500,
        "by": "manager",
        "description": "Will answer questions about releases",
        "main": sha(name + "main"),
        "pending_approval": None,
        **fields,
    }
    return DraftView(**values)  # type: ignore[arg-type]


def summary(number: int, **fields: object) -> ApprovalSummary:
    """Return a pending change of alice, with ``fields`` changed."""
    values: dict[str, object] = {
        "id": number,
        "agent": "alice",
        "kind": ApprovalKind.CHANGE,
        "state": ApprovalState.PENDING,
        "commit": sha(f"commit {number}"),
        "manifest_sha256": sha(f"manifest {number}", 64),
        "description": "alice needs to read the history to answer who changed what.",
        "proposed_by": "manager",
        "created_at": NOW - 95,
        "decided_at": None,
        "decided_by": None,
        "reason": None,
        "widens": (
            "May use 2 more tools: Bash and Read.",
            "Bash may also run “git log *”.",
        ),
        "operation": None,
        **fields,
    }
    return ApprovalSummary(**values)  # type: ignore[arg-type]


def policy() -> tuple[PolicyChange, ...]:
    """Return a change of every effect."""
    changes = (
        ("allowedTools", Effect.WIDENS, "May use 2 more tools: Bash and Read."),
        ("bash.allow", Effect.WIDENS, "Bash may also run “git log *”."),
        ("model", Effect.WIDENS, "The model is dearer: sonnet instead of haiku."),
        ("prompt", Effect.BEHAVIOUR, "The prompt changes: 1 line more."),
        (
            "limits.turnsPerHour",
            Effect.NARROWS,
            "At most 60 turns an hour instead of 120.",
        ),
    )
    values = {
        "allowedTools": ("[]", '["Bash", "Read"]'),
        "bash.allow": ("[]", '["git log *"]'),
        "model": ('"haiku"', '"sonnet"'),
        "limits.turnsPerHour": ("120", "60"),
    }
    dangers = {"allowedTools": Danger.CRITICAL, "bash.allow": Danger.HIGH}
    dangers["model"] = Danger.MEDIUM
    return tuple(
        PolicyChange(
            option,
            effect,
            sentence,
            *values.get(option, (None, None)),
            danger=dangers.get(option),
        )
        for option, effect, sentence in changes
    )


def file_diff(path: str, old: str, new: str) -> FileDiff:
    """Return the difference of two texts as hived would."""
    before, after = old.splitlines(), new.splitlines()
    hunks = []
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for group in matcher.get_grouped_opcodes(3):
        lines: list[DiffLine] = []
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                lines += [
                    DiffLine(
                        kind=LineKind.CONTEXT,
                        text=before[i1 + n],
                        old_no=i1 + n + 1,
                        new_no=j1 + n + 1,
                    )
                    for n in range(i2 - i1)
                ]
                continue
            lines += [_line(LineKind.REMOVED, before[n], n) for n in range(i1, i2)]
            lines += [_line(LineKind.ADDED, after[n], n) for n in range(j1, j2)]
        first, last = group[0], group[-1]
        hunks.append(
            Hunk(
                old_start=first[1] + 1,
                old_lines=last[2] - first[1],
                new_start=first[3] + 1,
                new_lines=last[4] - first[3],
                lines=tuple(lines),
            )
        )
    return FileDiff(
        path=path,
        old_path=path if old else None,
        status=FileStatus.MODIFIED if old else FileStatus.ADDED,
        binary=False,
        old_size=len(old) or None,
        new_size=len(new),
        hunks=tuple(hunks),
        truncated=False,
        lines_after=len(after) if before and after else None,
    )


def _line(kind: LineKind, text: str, index: int) -> DiffLine:
    added = kind is LineKind.ADDED
    return DiffLine(
        kind=kind,
        text=text,
        old_no=None if added else index + 1,
        new_no=index + 1 if added else None,
    )


def binary(path: str) -> FileDiff:
    """Return an added binary file."""
    return FileDiff(
        path=path,
        old_path=None,
        status=FileStatus.ADDED,
        binary=True,
        old_size=None,
        new_size=2048,
        hunks=(),
        truncated=False,
    )


def detail(row: ApprovalSummary) -> ApprovalDetail:
    """Return a proposal against all three bases."""
    change = file_diff("agent.nix", NIX_BEFORE, NIX_AFTER)
    notes = file_diff("notes/history.md", "", "# History\n\nAsk `git log`.\n")
    whole = file_diff("agent.nix", "", NIX_AFTER)
    return ApprovalDetail(
        approval=row,
        author="manager <manager@hive>",
        message="Let alice read the history\n\nShe is asked about it every day.",
        policy=policy(),
        diffs=(
            DiffSet(base=DiffBase.RUNNING, commit=sha("run"), files=(change, notes)),
            DiffSet(base=DiffBase.APPROVED, commit=sha("app"), files=(change,)),
            DiffSet(base=DiffBase.PREVIOUS, commit=None, files=(whole,)),
        ),
        manifest_json=MANIFEST,
        manifest_before_json='{"model":"haiku","allowedTools":[],"network":false}',
    )


def commented(approvals: dict[int, ApprovalDetail]) -> None:
    """Let 7 answer what was asked for in 5, with comments of every kind."""
    here = QuotedComment(
        file="agent.nix",
        line=5,
        to=6,
        base=None,
        text="Say whom it helps.",
        quoted=('    description = "Example worker";', '    model = "opus";'),
    )
    comments = (
        msgspec.structs.replace(here, line_now=5),
        here,
        msgspec.structs.replace(here, line=6, base=DiffBase.RUNNING),
    )
    asked = ChangesRequested(approval=5, text="Cheaper, please.", comments=comments)
    approvals[7] = msgspec.structs.replace(approvals[7], asked=asked)
    approvals[5] = msgspec.structs.replace(approvals[5], comments=comments)


def message(number: int, **fields: object) -> Message:
    """Return a message from alice to the manager, with ``fields`` changed."""
    values: dict[str, object] = {
        "id": number,
        "sender": "alice",
        "recipient": "manager",
        "body": "Who changed the retry limit? I cannot see the history from here.",
        "kind": MessageKind.MESSAGE,
        "priority": Priority.NORMAL,
        "sent_at": NOW - 60 * number,
        "hop": 1,
        "redelivered": False,
        **fields,
    }
    return Message(**values)  # type: ignore[arg-type]


def question(number: int, **fields: object) -> QuestionView:
    """Return an open question of carol's, with ``fields`` changed."""
    values: dict[str, object] = {
        "id": number,
        "asker": "carol",
        "to": "operator",
        "question": "The build needs a newer compiler. Shall I wait, or use the old?",
        "options": ("Wait for the update", "Use the old compiler"),
        "multi": False,
        "asked_at": NOW - 200,
        "expires_at": NOW + 3000,
        "answered_at": None,
        "answer": None,
        **fields,
    }
    return QuestionView(**values)  # type: ignore[arg-type]


def flow() -> list[Message]:
    """Return a morning's messages, newest first."""
    lines = (
        ("carol", "operator", "The review of the parser is done: two remarks."),
        ("alice", "manager", "Who changed the retry limit? I cannot see the history."),
        ("manager", "alice", "I have proposed that you may read it; it waits."),
        ("operator", "manager", "Let alice answer questions about the history."),
        ("manager", "carol", "Please review the parser change before noon."),
        ("system", "manager", "bob has failed: “tickets” did not connect."),
        ("carol", "manager", "Taken. I begin with the lexer; its tests are thin."),
        ("alice", "carol", "Is the old compiler still needed anywhere?"),
        ("carol", "alice", "Only for the nightly build, until the update lands."),
        ("operator", "carol", "Thanks. Keep the nightly green until Friday."),
    )
    kinds = {"system": MessageKind.EVENT}
    return [
        message(
            33 - at,
            sender=sender,
            recipient=to,
            body=body,
            kind=kinds.get(sender, MessageKind.MESSAGE),
            sent_at=NOW - 140 * (at + 1),
        )
        for at, (sender, to, body) in enumerate(lines)
    ]


def audit() -> list[AuditEntry]:
    """Return lines of an audit log, oldest first."""
    lines: tuple[tuple[str, str, str | None, dict[str, object]], ...] = (
        ("cli uid 0", "login_code", None, {}),
        ("manager", "proposed", "alice", {"approval": 7, "commit": sha("7")}),
        ("system", "start_failed", "bob", {"operation": 11, "error": "exit status 1"}),
        ("session 1a2b3c4d", "pause", "carol", {"reason": "reads too much"}),
    )
    return [
        AuditEntry(
            seq=seq,
            at=NOW - 600 + seq,
            who=who,
            what=what,
            agent=name,
            data=more,
            mac="",
        )
        for seq, (who, what, name, more) in enumerate(lines, start=1)
    ]


def checks() -> list[Check]:
    """Return what doctor says, worst first."""
    return [
        Check(
            name="consistency",
            state=CheckState.PROBLEM,
            message="Approval 5 is recorded as deploying, but nothing works on it.",
            repair="Marks approval 5 as failed.",
        ),
        Check(name="git", state=CheckState.OK, message="git is at /usr/bin/git."),
    ]


PUSH_KEY = (
    "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLoc"
    "InmYWAmS6TlzAC8wEqKK6PBru3jl7A8"
)


def browser(number: int, **more: Any) -> BrowserView:
    """Return a browser that is subscribed."""
    agent = "Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0"
    fields = {
        "id": number,
        "browser": agent,
        "service": "updates.push.services.mozilla.com",
        "by": "session 1a2b3c4d",
        "since_at": NOW - 86400,
    }
    return BrowserView(**{**fields, **more})
