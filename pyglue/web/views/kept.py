"""The overview's forms about what does not run: kept state and drafts."""

from flask import Blueprint
from werkzeug.wrappers import Response

from pyglue import names
from pyglue.api.lifecycle import PurgeParams
from pyglue.api.manager import AgentParams
from pyglue.api.operator import DRAFT_DISCARD, PURGE, RESTORE
from pyglue.web.rpc import hive
from pyglue.web.views.common import done, needed

blueprint = Blueprint("kept", __name__)


@blueprint.post("/kept/<name>/restore")
def restore(name: str) -> Response:
    """Propose what ran last of a destroyed agent."""
    made = hive().call(RESTORE, AgentParams(agent=names.check(name)))
    text = f"{name} is proposed as it ran last. It comes back when you approve it here."
    return done(text, f"/approvals/{made.approval}")


@blueprint.post("/kept/<name>/purge")
def purge(name: str) -> Response:
    """Remove all that is kept of a name; the form's ``confirm`` repeats it."""
    agent = names.check(name)
    confirm = needed("confirm", "the name", limit=64)
    params = PurgeParams(agent=agent, confirm=confirm[:64])
    number = hive().call(PURGE, params).operation
    return done(f"All that is kept of {agent} is removed (operation {number}).")


@blueprint.post("/drafts/<name>/discard")
def discard(name: str) -> Response:
    """End a draft."""
    agent = names.check(name)
    number = hive().call(DRAFT_DISCARD, AgentParams(agent=agent)).operation
    return done(f"The draft {agent} is discarded (operation {number}).")
