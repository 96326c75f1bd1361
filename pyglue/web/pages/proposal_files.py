"""The files of a proposal, as its page shows them: which comparison, which lines."""

from collections.abc import Iterator, Sequence
from typing import Any

from flask import Response, request

from pyglue.api.approvals import (
    BASE_NAMES,
    ApprovalDetail,
    ApprovalKind,
    ApprovalState,
    ApprovalSummary,
    ContextParams,
    DiffBase,
    DiffSet,
)
from pyglue.api.diff import DiffLine, FileDiff
from pyglue.api.operator import CONTEXT
from pyglue.web.pages import comments, expand
from pyglue.web.pages import diff as diffview
from pyglue.web.rpc import hive


def shown(detail: ApprovalDetail, only: int | None = None) -> dict[str, Any]:
    """Return the templates' data on the files, or ``only`` on one of them.

    Raises:
        HiveError: for lines that cannot be shown beside the changes.
    """
    base, asked = chosen(detail), expand.asked()
    files: Sequence[FileDiff] = base.files if base else ()
    side = base.base if base else DiffBase.RUNNING
    lines = [one for one in asked if only in (None, one.file)]
    number = detail.approval.id
    grown = expand.expanded(files, lines, _context, number=number, base=side)
    views = diffview.build(grown, only=only)
    view = "split" if request.args.get("view") == "split" else "unified"
    return {
        "base": base,
        "view": view,
        "files": views,
        "notes": comments.notes(detail, base.base if base else None, views),
        "more": expand.Expansion(
            path=f"/approvals/{number}",
            query=(("base", side.value), ("view", view)),
            lines=asked,
            lines_left=expand.lines_left(grown),
        ),
        "raw": f"/approvals/{number}/diff.txt?base={side.value}",
    }


def chosen(detail: ApprovalDetail) -> DiffSet | None:
    """Return the diff against the requested base, else the first."""
    asked = request.args.get("base")
    found = [one.files for one in detail.diffs if one.base.value == asked]
    all_tabs = tabs(detail)
    same = [one for one in all_tabs if one.files in found]
    return next(iter([*same, *all_tabs]), None)


def tabs(detail: ApprovalDetail) -> list[DiffSet]:
    """Return the diffs without those that repeat an earlier one."""
    found: list[DiffSet] = []
    for one in detail.diffs:
        if all(one.files != other.files for other in found):
            found.append(one)
    return found


def bases(row: ApprovalSummary) -> dict[DiffBase, str]:
    """Return the names of the bases of comparison; none of them need be deployed."""
    if row.state is not ApprovalState.PENDING:
        return {**BASE_NAMES, DiffBase.RUNNING: "the version deployed then"}
    if row.kind is ApprovalKind.RESTORE:
        return {**BASE_NAMES, DiffBase.RUNNING: "the version deployed last"}
    return BASE_NAMES


def raw(files: Sequence[FileDiff]) -> Response:
    """Return files as text without limits: all of them, or the requested one."""
    only = request.args.get("file", type=int)
    if only is not None:
        files = files[only : only + 1] if only >= 0 else ()

    def body() -> Iterator[str]:
        yield from diffview.as_text(files)

    response = Response(body(), content_type="text/plain; charset=utf-8")
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


def _context(params: ContextParams) -> Sequence[DiffLine]:
    return hive().call(CONTEXT, params).lines
