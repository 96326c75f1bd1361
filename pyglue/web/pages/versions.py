"""An agent's versions: comparing two of them, and rolling back to an earlier one.

A version is what an approval pinned. The page shows what a rollback changes before its
button.
"""

from typing import Any, Final

from flask import Blueprint, render_template, request
from werkzeug.wrappers import Response

from pyglue import names
from pyglue.api.approvals import (
    ApprovalState,
    ApprovalSummary,
    CompareParams,
    Comparison,
)
from pyglue.api.lifecycle import RollbackParams
from pyglue.api.operator import COMPARE, ROLLBACK
from pyglue.api.overview import AgentDetail
from pyglue.errors import ErrorCode, HiveError
from pyglue.web.pages import diff as diffview
from pyglue.web.pages import proposal_files
from pyglue.web.pages.approvals import by_effect
from pyglue.web.pages.common import done, status
from pyglue.web.rpc import agent_detail, hive

blueprint = Blueprint("versions", __name__)

_WERE_DEPLOYED: Final = frozenset({ApprovalState.DEPLOYED})


@blueprint.get("/agents/<name>/versions")
def page(name: str) -> str:
    """Show two versions of an agent side by side; without a choice, the newest two."""
    detail = agent_detail(name)
    known = detail.approvals
    new = _asked("new") or detail.agent.deployed_approval or _first(known)
    old = _asked("old") or _before(known, new) or new
    chosen = {"old": old, "new": new}
    compared = _compared(name, old, new) if old and new else None
    return render_template(
        "versions.html",
        status=status(),
        agent=detail.agent,
        known=known,
        chosen=chosen,
        back=None if compared is None else _back(detail, compared),
        **_shown(name, compared),
    )


@blueprint.get("/agents/<name>/versions/diff.txt")
def diff_text(name: str) -> Response:
    """Return the differences as text without limits, with hidden characters named."""
    found = _compared(name, _asked("old") or 0, _asked("new") or 0)
    return proposal_files.raw((*found.files, found.manifest))


@blueprint.get("/agents/<name>/rollback/<int:approval>")
def ask_rollback(name: str, approval: int) -> str:
    """Show what a rollback to an earlier approval does and changes."""
    now = agent_detail(name).agent
    deployed = now.deployed_approval or approval
    compared = _compared(name, deployed, approval)
    return render_template(
        "rollback.html",
        status=status(),
        agent=now,
        earlier=compared.new,
        **_shown(name, compared),
    )


@blueprint.post("/agents/<name>/rollback/<int:approval>")
def rollback(name: str, approval: int) -> Response:
    """Roll back to what an earlier approval deployed."""
    asked = RollbackParams(agent=names.check(name), approval=approval)
    number = hive().call(ROLLBACK, asked).operation
    text = f"Rolling {asked.agent} back to approval {approval}…"
    return done(text, f"/operations/{number}", operation=number)


def _asked(name: str) -> int | None:
    found = request.args.get(name, type=int)
    return found if found is not None and 0 < found < 2**53 else None


def _compared(name: str, old: int, new: int) -> Comparison:
    if not old or not new:
        raise HiveError(ErrorCode.BAD_REQUEST, "Choose two versions to compare.")
    params = CompareParams(agent=names.check(name), old=old, new=new)
    return hive().call(COMPARE, params)


def _shown(name: str, compared: Comparison | None) -> dict[str, Any]:
    """Return what ``fragments/compared.html`` shows: its files, the manifest last."""
    if compared is None:
        return {"compared": None}
    files = diffview.build((*compared.files, compared.manifest))
    pair = f"old={compared.old.id}&new={compared.new.id}"
    return {
        "compared": compared,
        "policy": by_effect(compared.policy),
        "files": files[:-1],
        "manifest": files[-1],
        "view": "unified" if request.args.get("view") == "unified" else "split",
        "pair": pair,
        "raw": f"/agents/{name}/versions/diff.txt?{pair}",
    }


def _first(known: tuple[ApprovalSummary, ...]) -> int | None:
    return known[0].id if known else None


def _before(known: tuple[ApprovalSummary, ...], new: int | None) -> int | None:
    """Return the newest version that was deployed before ``new``."""
    for one in known:
        if new is not None and one.id < new and one.state in _WERE_DEPLOYED:
            return one.id
    return None


def _back(detail: AgentDetail, compared: Comparison) -> ApprovalSummary | None:
    """Return the version to roll back to, if the other one is deployed."""
    pair = (compared.old, compared.new)
    for one, other in (pair, pair[::-1]):
        is_now = other.id == detail.agent.deployed_approval and one.id != other.id
        if is_now and one.state in _WERE_DEPLOYED:
            return one
    return None
