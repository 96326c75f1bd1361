"""Text for terminals: tables and diffs, with agents' text made harmless."""

from collections.abc import Sequence

from pyglue.api.diff import FileDiff
from pyglue.api.operator import ApprovalDetail, DiffBase
from pyglue.display import visible

_LINE_MAX = 500


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def approval_text(detail: ApprovalDetail) -> str:
    """Return all that is judged about a proposal, and the command that approves it."""
    row = detail.approval
    lines = [
        f"Approval {row.id}: {row.kind.value} of {row.agent}, {row.state.value}",
        f"commit    {row.commit}",
        f"manifest  {row.manifest_sha256}",
        f"by        {row.proposed_by} ({visible(detail.author, limit=80)})",
        f"says      {visible(row.description or detail.message, limit=_LINE_MAX)}",
    ]
    if row.reason is not None:
        lines.append(f"reason    {visible(row.reason, limit=2000)}")
    lines += ["", "What changes in its power:"]
    for change in detail.policy:
        lines.append(f"  {change.effect.value:<18} {visible(change.sentence)}")
    if not detail.policy:
        lines.append("  nothing")
    for diff in detail.diffs:
        if diff.base is DiffBase.RUNNING:
            lines += ["", *(line for file in diff.files for line in _file(file))]
    lines += [
        "",
        f"hive approve {row.id} --commit {row.commit} --manifest {row.manifest_sha256}",
    ]
    return "\n".join(lines)


def _file(file: FileDiff) -> list[str]:
    path = visible(file.path, limit=_LINE_MAX)
    lines = [f"=== {path} ({file.status.value})"]
    if file.binary:
        lines.append("    binary")
    for hunk in file.hunks:
        lines.append(
            f"@@ -{hunk.old_start},{hunk.old_lines} "
            f"+{hunk.new_start},{hunk.new_lines} @@"
        )
        lines += [
            f"{line.kind.value}{visible(line.text, limit=_LINE_MAX)}"
            for line in hunk.lines
        ]
    if file.truncated:
        lines.append("    … left out for size")
    return lines
