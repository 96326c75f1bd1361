"""The approval queue and the review page of a change.

The form names the proposal by commit and by manifest hash: hived refuses anything but
exactly what this page showed. If a change widens permissions, or if the page could not
show all of it, the operator has to confirm that.
"""

from collections.abc import Sequence
from typing import Any, Final

from flask import Blueprint, Response, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from pyglue.api.approvals import (
    ApprovalDetail,
    ApprovalParams,
    ApprovalsParams,
    ApprovalState,
    ApproveParams,
    DenyParams,
    DiffBase,
    Effect,
    PolicyChange,
    RequestChangesParams,
    critical,
)
from pyglue.api.operations import Operation, OperationParams
from pyglue.api.operator import (
    APPROVAL,
    APPROVALS,
    APPROVE,
    DENY,
    OPERATION,
    REQUEST_CHANGES,
    RETRY,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.web.pages import comments, explain, proposal_files
from pyglue.web.pages import diff as diffview
from pyglue.web.pages.common import (
    agent_names,
    asked_before,
    done,
    field,
    needed,
    part,
    status,
)
from pyglue.web.rpc import hive

blueprint = Blueprint("approvals", __name__)

_SHOWN: Final = 200
_NEXT: Final = 50
"""Pending approvals that are counted after a decision."""
_EFFECTS: Final = (
    (Effect.WIDENS, "More permissions", "widens"),
    (Effect.BEHAVIOUR, "Behaviour", "behaviour"),
    (Effect.NARROWS, "Fewer permissions", "narrows"),
    (Effect.NEUTRAL, "No effect", "neutral"),
)


@blueprint.get("/approvals")
def listing() -> str:
    """Show the queue, newest first, filtered by state and agent, page by page."""
    return render_template(
        "approvals.html",
        status=status(),
        names=agent_names(),
        states=list(ApprovalState),
        **_listed(),
    )


@blueprint.get("/fragments/approvals/list")
def rows() -> str:
    """Return the queue, for a live update."""
    return render_template("fragments/approval_list.html", **_listed())


def _listed() -> dict[str, Any]:
    state = request.args.get("state", "")
    agent = request.args.get("agent", "")[:64]
    chosen = ApprovalState(state) if state in set(ApprovalState) else None
    asked = ApprovalsParams(
        state=chosen, agent=agent or None, before=asked_before(), limit=_SHOWN
    )
    found = hive().call(APPROVALS, asked).approvals
    return {
        "approvals": found,
        "more": found[-1].id if len(found) >= _SHOWN else None,
        "state": chosen,
        "agent": agent,
    }


@blueprint.get("/approvals/<int:number>")
def page(number: int) -> str:
    """Show one proposal: decision, policy diff, files, manifest."""
    detail = _detail(number)
    return render_template(
        "approval.html",
        status=status(),
        detail=detail,
        policy=by_effect(detail.policy),
        tabs=proposal_files.tabs(detail),
        bases=proposal_files.bases(detail.approval),
        **proposal_files.shown(detail),
        **_decision(detail),
        **explain.shown(detail.approval),
    )


@blueprint.get("/fragments/approval/<int:number>/file/<int:index>")
def one_file(number: int, index: int) -> str:
    """Return one file of the diff, with the lines around its changes asked for."""
    shown = proposal_files.shown(_detail(number), only=index)
    if not shown["files"]:
        raise HiveError(ErrorCode.NOT_FOUND, f"Approval {number} has no file {index}.")
    return render_template("fragments/one_file.html", file=shown["files"][0], **shown)


@blueprint.get("/fragments/approval/<int:number>")
def decision(number: int) -> str:
    """Return the decision part of an approval's page, for a live update."""
    detail = _detail(number)
    return render_template(
        "fragments/decision.html", detail=detail, **_decision(detail)
    )


@blueprint.get("/fragments/approval/<int:number>/state")
def state_line(number: int) -> str:
    """Return the status line at the top of the page, for a live update."""
    detail = _detail(number)
    return render_template(
        "fragments/state_line.html", detail=detail, **_decision(detail)
    )


@blueprint.get("/fragments/approval/<int:number>/system")
def system(number: int) -> str:
    """Return the changes to the system and the build log, for a live update."""
    detail = _detail(number)
    if detail.system is None:
        raise HiveError(ErrorCode.NOT_FOUND, f"Approval {number} has no system.")
    return render_template("fragments/system.html", detail=detail)


@blueprint.get("/approvals/<int:number>/diff.txt")
def diff_text(number: int) -> Response:
    """Return the whole diff as text without limits, with hidden characters named."""
    chosen = proposal_files.chosen(_detail(number))
    return proposal_files.raw(chosen.files if chosen else ())


@blueprint.post("/approvals/<int:number>/approve")
def approve(number: int) -> BaseResponse:
    """Approve exactly the commit, manifest and critical changes that the form names."""
    commit, manifest = needed("commit", "the commit"), needed("manifest", "the hash")
    if request.form.get("confirm") != "yes" and _caution(_detail(number)):
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            "Nothing was approved. Go back, tick the box above the Approve button to "
            "confirm that you have reviewed the change, and approve again.",
        )
    accepted = tuple(request.form.getlist("accept", type=int))
    asked = ApproveParams(
        id=number, commit=commit, manifest=manifest, accepted=accepted
    )
    operation = hive().call(APPROVE, asked).operation
    text = f"Approved {commit[:12]}. Deploying…"
    return done(text, f"/approvals/{number}", operation=operation)


@blueprint.post("/approvals/<int:number>/retry")
def retry(number: int) -> BaseResponse:
    """Deploy an approved proposal again after its deployment failed."""
    operation = hive().call(RETRY, ApprovalParams(id=number)).operation
    text = f"Deploying approval {number} again…"
    return done(text, f"/approvals/{number}", operation=operation)


@blueprint.post("/approvals/<int:number>/deny")
def deny(number: int) -> BaseResponse:
    """Deny with a reason, which is sent to the manager."""
    reason = needed("reason", "a reason", limit=8192)
    hive().call(DENY, DenyParams(id=number, reason=reason))
    return done("Denied. The reason was sent to the manager.", f"/approvals/{number}")


@blueprint.post("/approvals/<int:number>/request-changes")
def request_changes(number: int) -> BaseResponse:
    """End a proposal with an overall text and comments on its lines."""
    text = field("text", limit=8192).strip()
    asked = RequestChangesParams(id=number, text=text, comments=comments.sent())
    hive().call(REQUEST_CHANGES, asked)
    result = "Changes requested. The manager got your comments in one message."
    return done(result, f"/approvals/{number}")


def _detail(number: int) -> ApprovalDetail:
    return hive().call(APPROVAL, ApprovalParams(id=number))


def by_effect(policy: Sequence[PolicyChange]) -> list[tuple[str, str, list[Any]]]:
    """Return permission changes in groups with a title and a style."""
    groups = []
    for effect, title, css in _EFFECTS:
        changes = [one for one in policy if one.effect is effect]
        if changes:
            groups.append((title, css, changes))
    return groups


def _decision(detail: ApprovalDetail) -> dict[str, Any]:
    operation: Operation | None = None
    if detail.approval.operation is not None:
        asked = OperationParams(id=detail.approval.operation)
        operation = hive().call(OPERATION, asked)
    return {
        "operation": operation,
        "others": _others(detail),
        "caution": _caution(detail),
        "accept": critical(detail.policy),
        "paths": sorted({file.path for one in detail.diffs for file in one.files}),
        "comment_fields": comments.FIELDS,
    }


def _others(detail: ApprovalDetail) -> tuple[int, ...]:
    """Return the next pending approvals, after a decision: later ones first."""
    if detail.approval.state is ApprovalState.PENDING:
        return ()
    asked = ApprovalsParams(state=ApprovalState.PENDING, limit=_NEXT)
    found = part(lambda: hive().call(APPROVALS, asked).approvals).data or ()
    here = detail.approval.id
    return tuple(sorted((one.id for one in found), key=lambda id_: (id_ < here, id_)))


def _caution(detail: ApprovalDetail) -> str | None:
    """Return the confirmation needed besides the critical changes, if any.

    If there are critical changes, each has its own box, and widening needs no other.
    """
    if detail.approval.state is not ApprovalState.PENDING:
        return None
    widens = not critical(detail.policy) and (
        bool(detail.approval.widens)
        or any(one.effect is Effect.WIDENS for one in detail.policy)
    )
    running = next((d for d in detail.diffs if d.base is DiffBase.RUNNING), None)
    files = running.files if running else ()
    hidden = diffview.hidden(files)
    if detail.system is not None and detail.system.packages.left_out:
        wider = "the additional permissions, and that " if widens else "that "
        return f"I accept {wider}some changes to the system are not listed here"
    unshown = "1 file is" if hidden == 1 else f"{hidden} files are"
    if widens and hidden:
        return (
            f"I accept the additional permissions, and that {unshown} not shown in full"
        )
    if widens:
        return "I have reviewed the new permissions"
    if hidden:
        return f"{unshown} not shown in full here; I have reviewed them elsewhere"
    return None
