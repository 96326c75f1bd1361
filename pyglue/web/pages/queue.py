"""The queue on an agent's page: queued and delivered messages, and removing them."""

from typing import Any, Final

from flask import Blueprint, render_template, request
from werkzeug.wrappers import Response

from pyglue import names
from pyglue.api.operator import QUEUE, QUEUE_DROP, QUEUE_LATER
from pyglue.api.queue import QueueChangeParams, QueueParams
from pyglue.errors import ErrorCode, HiveError
from pyglue.web.pages.common import Part, done, part
from pyglue.web.rpc import agent_detail, hive

blueprint = Blueprint("queue", __name__)

_SHOWN: Final = 50
_CLIP: Final = 400
_ACTIONS: Final = {"drop": QUEUE_DROP, "later": QUEUE_LATER}
_TOLD: Final = {
    "drop": "Message {} is removed from the queue.",
    "later": "Message {} is moved behind all others.",
}


def queued(name: str) -> Part[Any]:
    """Return the messages that an agent has not finished."""
    asked = QueueParams(agent=name, limit=_SHOWN, clip=_CLIP)
    return part(lambda: hive().call(QUEUE, asked))


@blueprint.get("/fragments/agent/<name>/queue")
def fragment(name: str) -> str:
    """Return the queue of an agent, for a live update."""
    agent = agent_detail(name).agent
    queue = queued(agent.name)
    return render_template("fragments/queue.html", agent=agent, queue=queue)


@blueprint.post("/agents/<name>/queue/<int:number>/<action>")
def change(name: str, number: int, action: str) -> Response:
    """Drop a message, or move it to the end; a turn that has it is cancelled."""
    agent, method = names.check(name), _ACTIONS.get(action)
    if method is None or number < 1:
        raise HiveError(ErrorCode.NOT_FOUND, f"There is no action {action[:40]!r}.")
    cancel = request.form.get("cancel_turn") == "yes"
    params = QueueChangeParams(agent=agent, message=number, cancel_turn=cancel)
    hive().call(method, params)
    return done(_TOLD[action].format(number), f"/agents/{agent}")
