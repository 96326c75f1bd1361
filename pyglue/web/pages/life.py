"""The lifecycle pages: drafts, kept state, destroy, operations.

An action that deletes something asks for confirmation first, on a separate page that
says what is lost, so it works without JavaScript. A long action leads to the page of
its operation.
"""

from typing import Final

from flask import Blueprint, render_template
from werkzeug.wrappers import Response

from pyglue import names
from pyglue.api.common import NoParams
from pyglue.api.lifecycle import DraftView, KeptView, PurgeParams
from pyglue.api.manager import REBUILD, AgentParams, SpawnParams
from pyglue.api.operations import (
    CancelOperationParams,
    Operation,
    OperationParams,
)
from pyglue.api.operator import (
    AGENT,
    CANCEL_OPERATION,
    DESTROY,
    DRAFT,
    DRAFT_DISCARD,
    DRAFTS,
    KEPT,
    OPERATION,
    PURGE,
    REBUILD_ALL,
    RESTORE,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.web.pages.common import done, field, needed, status
from pyglue.web.pages.moved import or_moved
from pyglue.web.rpc import hive

blueprint = Blueprint("life", __name__)

_CONFIRM_MAX: Final = 64


def _agent(name: str) -> AgentParams:
    return AgentParams(agent=names.check(name))


def _follow(number: int, text: str) -> Response:
    return done(text, f"/operations/{number}", operation=number)


# --- operations -------------------------------------------------------------------


@blueprint.get("/operations/<int:number>")
def operation(number: int) -> str:
    """Show the progress of an operation."""
    found = _operation(number)
    return render_template("operation.html", status=status(), operation=found)


@blueprint.get("/fragments/operation/<int:number>")
def operation_fragment(number: int) -> str:
    """Return the changing part of that page, for a live update."""
    return render_template("fragments/operation.html", operation=_operation(number))


@blueprint.post("/operations/<int:number>/cancel")
def cancel_operation(number: int) -> Response:
    """Cancel an operation that is queued or building."""
    hive().call(CANCEL_OPERATION, CancelOperationParams(id=number))
    return done(f"Cancelling operation {number}…", f"/operations/{number}")


def _operation(number: int) -> Operation:
    return hive().call(OPERATION, OperationParams(id=number))


# --- agents -----------------------------------------------------------------------


@blueprint.get("/agents/<name>/destroy")
def ask_destroy(name: str) -> str:
    """Show what destroying an agent removes and what it keeps."""
    found = hive().call(AGENT, _agent(name)).agent
    return render_template("destroy.html", status=status(), agent=found)


@blueprint.post("/agents/<name>/destroy")
def destroy(name: str) -> Response:
    """Destroy an agent; its state is kept."""
    asked = _agent(name)
    number = hive().call(DESTROY, asked).operation
    return _follow(number, f"Destroying {asked.agent}, keeping its data…")


@blueprint.post("/agents/<name>/rebuild")
def rebuild(name: str) -> Response:
    """Rebuild an agent's system with the hive's current inputs."""
    asked = _agent(name)
    made = hive().call(REBUILD, asked)
    if made.operation is None:
        text = f"The rebuild changes the system of {asked.agent}. Approve it to deploy."
        return done(text, f"/approvals/{made.approval}")
    return _follow(made.operation, f"Rebuilding {asked.agent}…")


@blueprint.post("/rebuild")
def rebuild_all() -> Response:
    """Rebuild every agent, one after another."""
    number = hive().call(REBUILD_ALL, NoParams()).operation
    return _follow(number, "Rebuilding all agents, one after another…")


# --- drafts -----------------------------------------------------------------------


@blueprint.post("/agents/draft")
def make_draft() -> Response:
    """Create a draft: repositories to prepare, and no container yet."""
    name = names.check_new(needed("name", "a name"))
    description = field("description", limit=8192).strip()
    hive().call(DRAFT, SpawnParams(name=name, description=description))
    text = f"Created draft {name}. The manager prepares it and asks for your approval."
    return done(text, f"/drafts/{name}")


@blueprint.get("/drafts/<name>")
def draft(name: str) -> str | Response:
    """Show a draft, and what discarding it removes."""
    return or_moved(
        name,
        lambda: render_template("draft.html", draft=_draft(name), status=status()),
    )


@blueprint.post("/drafts/<name>/discard")
def discard(name: str) -> Response:
    """Discard a draft."""
    asked = _agent(name)
    number = hive().call(DRAFT_DISCARD, asked).operation
    return done(f"Discarding draft {asked.agent}…", operation=number)


def _draft(name: str) -> DraftView:
    wanted = names.check(name)
    for one in hive().call(DRAFTS, NoParams()).drafts:
        if one.name == wanted:
            return one
    raise HiveError(ErrorCode.NOT_FOUND, f"There is no draft {wanted}.")


# --- kept state -------------------------------------------------------------------


@blueprint.get("/kept/<name>")
def kept(name: str) -> str | Response:
    """Show the kept state of a destroyed agent."""
    return or_moved(
        name, lambda: render_template("kept.html", kept=_kept(name), status=status())
    )


@blueprint.post("/kept/<name>/restore")
def restore(name: str) -> Response:
    """Propose the last deployed version of a destroyed agent."""
    asked = _agent(name)
    made = hive().call(RESTORE, asked)
    text = f"Restore of {asked.agent} proposed. It starts once you approve it."
    return done(text, f"/approvals/{made.approval}")


@blueprint.post("/kept/<name>/purge")
def purge(name: str) -> Response:
    """Purge everything that is kept of a name, which the form's ``confirm`` repeats."""
    asked = _agent(name)
    if needed("confirm", "the name", limit=_CONFIRM_MAX) != asked.agent:
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            f"The name you typed is not {asked.agent!r}. Nothing was deleted.",
        )
    params = PurgeParams(agent=asked.agent, confirm=asked.agent)
    number = hive().call(PURGE, params).operation
    return done(f"Deleting all data of {asked.agent}…", operation=number)


def _kept(name: str) -> KeptView:
    wanted = names.check(name)
    for one in hive().call(KEPT, NoParams()).kept:
        if one.name == wanted:
            return one
    raise HiveError(ErrorCode.NOT_FOUND, f"No data is kept of an agent {wanted}.")
