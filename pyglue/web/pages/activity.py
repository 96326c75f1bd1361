"""Activity of the hive: the audit log, operations, and the doctor's findings."""

from dataclasses import dataclass
from typing import Any, Final

from flask import Blueprint, render_template, request

from pyglue.api.audit import AuditEntry, AuditExportParams
from pyglue.api.common import NoParams
from pyglue.api.doctor import CheckState
from pyglue.api.operator import AUDIT_EXPORT, DOCTOR, OPERATIONS
from pyglue.names import check
from pyglue.web.pages.common import Part, agent_names, asked_before, part, status
from pyglue.web.rpc import hive

blueprint = Blueprint("activity", __name__)

_SHOWN: Final = 100
_NEWEST: Final = 2**53
_WORD_MAX: Final = 128
_HASH: Final = 12
"""Characters shown of a hash."""
_PAGES: Final = {
    "approval": "/approvals/{}",
    "operation": "/operations/{}",
    "message": "/messages/{}",
}
"""The page for the number under this key of an entry."""


@dataclass(frozen=True)
class Detail:
    """A value of an audit entry, and the page that it links to, if any."""

    name: str
    text: str
    link: str | None


@blueprint.get("/activity")
def page() -> str:
    """Show the audit log, newest first: filtered, page by page."""
    return render_template(
        "activity.html", status=status(), names=agent_names(), **_listed()
    )


@blueprint.get("/fragments/activity")
def fragment() -> str:
    """Return that list again, for a live update."""
    return render_template("fragments/activity.html", **_listed())


@blueprint.get("/operations")
def operations() -> str:
    """Show the newest operations."""
    return render_template("operations.html", status=status(), operations=_operations())


@blueprint.get("/fragments/operations")
def operations_fragment() -> str:
    """Return that list again, for a live update."""
    return render_template("fragments/operations.html", operations=_operations())


@blueprint.get("/doctor")
def doctor() -> str:
    """Show the findings of ``hive doctor``, worst first."""
    checks = hive().call(DOCTOR, NoParams()).checks
    return render_template(
        "doctor.html",
        status=status(),
        wrong=[one for one in checks if one.state is not CheckState.OK],
        fine=[one for one in checks if one.state is CheckState.OK],
    )


def _listed() -> dict[str, Any]:
    asked = _asked()
    found = hive().call(AUDIT_EXPORT, asked)
    return {
        "asked": asked,
        "more": found.before,
        "entries": [(one, _details(one)) for one in found.entries],
    }


def _asked() -> AuditExportParams:
    """Return the entries that match the query.

    Raises:
        HiveError: ``invalid_name`` for a name that no agent can have.
    """
    query = request.args
    agent = query.get("agent", "")
    return AuditExportParams(
        before=asked_before() or _NEWEST,
        limit=_SHOWN,
        who=query.get("who", "")[:_WORD_MAX] or None,
        what=query.get("what", "").strip().replace(" ", "_")[:_WORD_MAX] or None,
        agent=check(agent) if agent else None,
    )


def _details(entry: AuditEntry) -> list[Detail]:
    """Return the values of an entry besides actor, action and agent."""
    shown = []
    for key, value in sorted(entry.data.items()):
        page = _PAGES.get(key) if isinstance(value, int) else None
        if text := _text(value):
            shown.append(Detail(key, text, page.format(value) if page else None))
    return shown


def _text(value: object) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict | list):
        return f"{len(value)} values" if len(value) != 1 else "1 value"
    text = str(value)
    is_hash = len(text) in (40, 64) and all(c in "0123456789abcdef" for c in text)
    return text[:_HASH] if is_hash else text


def _operations() -> Part[Any]:
    return part(lambda: hive().call(OPERATIONS, NoParams()).operations)
