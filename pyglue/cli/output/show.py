"""Text for terminals: tables and diffs, with agents' text made harmless."""

from collections.abc import Sequence

from pyglue.api.approvals import (
    BASE_NAMES,
    ApprovalDetail,
    ApprovalKind,
    Comparison,
    DiffBase,
    PolicyChange,
    QuotedComment,
    critical,
)
from pyglue.api.diff import FileDiff
from pyglue.api.secrets import SecretUse
from pyglue.api.wakeups import ScheduleView, WebhookView
from pyglue.cli.output.show_system import system_lines
from pyglue.cli.output.times import moment
from pyglue.text.display import listed, named, visible

KINDS = {
    ApprovalKind.SPAWN: "spawn",
    ApprovalKind.CHANGE: "change",
    ApprovalKind.RESTORE: "restore",
    ApprovalKind.ROLLBACK: "roll back",
    ApprovalKind.REBUILD: "rebuild",
}
"""The effect of approving, in words."""
_WHOLE = 2**31
"""Text to be reviewed is never truncated."""


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def approval_text(detail: ApprovalDetail) -> str:
    """Return everything to review in a proposal, and the command that approves it."""
    row = detail.approval
    lines = [
        f"Approval {row.id}: {KINDS[row.kind]} of {row.agent}, {row.state.word}",
        f"commit    {row.commit}",
        f"manifest  {row.manifest_sha256}",
        f"by        {row.proposed_by} ({visible(detail.author, limit=_WHOLE)})",
        *_text("message", detail.message),
        *(_text("about", row.description) if row.description else ()),
    ]
    if detail.expires_at is not None:
        lines.append(f"expires   {moment(detail.expires_at)}, without a decision")
    if row.reason is not None:
        lines += _text("reason", row.reason)
    lines += _comments(detail.comments)
    if detail.asked is not None:
        lines += ["", f"Changes requested in approval {detail.asked.approval}:"]
        lines += [f"  {line}" for line in named(detail.asked.text).split("\n")]
        lines += _comments(detail.asked.comments, since=True)
    lines += _policy(detail.policy)
    lines += schedule_lines(detail.schedule)
    lines += webhook_lines(detail.webhooks)
    lines += secret_lines(detail.secrets)
    if detail.system is not None:
        lines += ["", *system_lines(detail.system)]
    for diff in detail.diffs:
        if diff.base is DiffBase.RUNNING:
            lines += ["", *(line for file in diff.files for line in _file(file))]
    command = f"hive approve {row.id} --commit {row.commit}"
    lines += ["", f"{command} --manifest {row.manifest_sha256}"]
    if numbers := critical(detail.policy):
        which = listed([str(number) for number in numbers])
        lines.append(f"with --accept N for each critical change, once read: {which}")
    return "\n".join(lines)


def comparison_text(found: Comparison) -> str:
    """Return the differences between two versions of an agent."""
    lines = [
        f"{word:<5} approval {row.id}: {KINDS[row.kind]}, {row.state.word}, commit "
        f"{row.commit}, {moment(row.created_at)}"
        for word, row in (("from", found.old), ("to", found.new))
    ]
    lines += _policy(found.policy)
    for file in (*found.files, *([found.manifest] if found.manifest.hunks else ())):
        lines += ["", *_file(file)]
    return "\n".join(lines)


def _policy(changes: Sequence[PolicyChange]) -> list[str]:
    lines = ["", "Permission changes:"]
    numbers = critical(changes)
    for number, change in enumerate(changes, 1):
        effect = change.effect.value
        if number in numbers:
            effect = f"{effect}, critical {number}"
        lines.append(f"  {effect:<18} {visible(change.sentence, limit=_WHOLE)}")
    return lines if changes else [*lines, "  nothing"]


def schedule_lines(schedule: Sequence[ScheduleView]) -> list[str]:
    """Return an agent's schedules with their next times; empty if there are none."""
    lines = ["", "Schedule:"] if schedule else []
    for one in schedule:
        lines.append(f"  {visible(one.name)}: {visible(one.at)}")
        lines.append(f"    next     {', '.join(one.times) or 'it never occurs again'}")
        lines.append(f"    message  {visible(one.message, limit=_WHOLE)}")
    return lines


def webhook_lines(webhooks: Sequence[WebhookView]) -> list[str]:
    """Return an agent's webhooks; empty if there are none."""
    lines = ["", "Webhooks:"] if webhooks else []
    for one in webhooks:
        lines.append(f"  {visible(one.name)}: {one.kind}, signed with {one.secret}")
        lines.append(f"    address  {visible(one.url)}")
        lines.append(f"    events   {', '.join(one.events) or 'none'}")
        lines += [f"    PROBLEM  {visible(one.problem)}"] if one.problem else []
    return lines


def secret_lines(secrets: Sequence[SecretUse]) -> list[str]:
    """Return an agent's uses of secrets; empty if there are none."""
    lines = ["", "Secrets:"] if secrets else []
    for one in secrets:
        sees = "sees" if one.exposed else "does not see"
        lines.append(f"  {one.name}, which the agent {sees}")
        lines += [f"    {visible(use, limit=_WHOLE)}" for use in one.uses]
        lines += [f"    PROBLEM  {visible(one.problem)}"] if one.problem else []
    return lines


def _text(name: str, text: str) -> list[str]:
    """Return a text of several lines beside its name, hidden characters by name."""
    first, *more = named(text.strip("\n")).split("\n")
    return [
        f"{name:<9} {first}".rstrip(),
        *(f"{'':<9} {line}".rstrip() for line in more),
    ]


def _comments(comments: Sequence[QuotedComment], *, since: bool = False) -> list[str]:
    """Return comments; ``since`` says where their lines are in a later proposal."""
    lines = []
    for one in comments:
        place = f"{one.line}" if one.line == one.to else f"{one.line}-{one.to}"
        which = f" of {BASE_NAMES[one.base]}" if one.base else ""
        if since and not one.base:
            now = one.line_now
            which = " (changed or gone)" if now is None else f", now {now}"
        lines.append(f"  {visible(one.file, limit=_WHOLE)}:{place}{which}")
        lines += [f"    > {visible(line, limit=_WHOLE)}" for line in one.quoted]
        lines += [f"    {line}" for line in named(one.text).split("\n")]
    return lines


def _file(file: FileDiff) -> list[str]:
    path = visible(file.path, limit=_WHOLE)
    lines = [f"=== {path} ({file.status.value})"]
    if file.old_path is not None and file.old_path != file.path:
        lines.append(f"    was {visible(file.old_path, limit=_WHOLE)}")
    if file.new_executable is not None and file.new_executable != file.old_executable:
        lines.append(f"    executable: {'yes' if file.new_executable else 'no'}")
    if file.binary:
        lines.append("    binary")
    for hunk in file.hunks:
        lines.append(
            f"@@ -{hunk.old_start},{hunk.old_lines} "
            f"+{hunk.new_start},{hunk.new_lines} @@"
        )
        lines += [
            f"{line.kind.value}{visible(line.text, limit=_WHOLE)}"
            for line in hunk.lines
        ]
    if file.truncated:
        lines.append("    … left out for size")
    return lines
