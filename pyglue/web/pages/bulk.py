"""One action on many agents, with a result for each.

A refusal for one agent keeps no other from it. The actions are those of one agent's
buttons, and end in the same calls.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from flask import Blueprint, request
from werkzeug.wrappers import Response

from pyglue import names
from pyglue.api.manager import REBUILD, RESTART, START, STOP, AgentParams
from pyglue.api.messages import BODY_LIMIT, OperatorSendParams
from pyglue.api.operator import OPERATOR_SEND
from pyglue.display import quoted
from pyglue.errors import ErrorCode, HiveError
from pyglue.web.pages.command import COMMANDS
from pyglue.web.pages.common import done, needed
from pyglue.web.rpc import hive

blueprint = Blueprint("bulk", __name__)

_MOST: Final = 1000
_NAME_SHOWN: Final = 40


@dataclass(frozen=True)
class Action:
    """A button: its word, the word for agents that it was done to, and what it does."""

    button: str
    did: str
    act: Callable[[str], object]


def _command(name: str) -> Callable[[str], object]:
    return lambda agent: COMMANDS[name].act(agent, "")


def _send(agent: str) -> object:
    body = needed("body", "a message", limit=BODY_LIMIT)
    return hive().call(OPERATOR_SEND, OperatorSendParams(to=agent, body=body))


FIRST: Final = {
    "pause": Action("Pause", "paused", _command("pause")),
    "resume": Action("Resume", "resumed", _command("resume")),
    "start": Action("Start", "starting", lambda one: hive().call(START, _agent(one))),
    "stop": Action("Stop", "stopping", lambda one: hive().call(STOP, _agent(one))),
    "restart": Action(
        "Restart", "restarting", lambda one: hive().call(RESTART, _agent(one))
    ),
}
MORE: Final = {
    "cancel": Action("Cancel turns", "cancelled", _command("cancel")),
    "compact": Action("Compact", "will compact", _command("compact")),
    "new": Action("New sessions", "will begin a new session", _command("new")),
    "rebuild": Action(
        "Rebuild", "rebuilding", lambda one: hive().call(REBUILD, _agent(one))
    ),
}
SEND: Final = Action("Send", "written to", _send)
_ACTIONS: Final = {**FIRST, **MORE, "send": SEND}


@blueprint.post("/bulk")
def act() -> Response:
    """Do one thing to every chosen agent, and say what came of each."""
    chosen = tuple(dict.fromkeys(request.form.getlist("agent")))
    word = needed("do", "an action")
    action = _ACTIONS.get(word)
    if action is None:
        raise HiveError(ErrorCode.NOT_FOUND, f"There is no action {word[:40]!r}.")
    if not 0 < len(chosen) <= _MOST:
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            f"{len(chosen):,} agents are selected: select 1 to {_MOST:,}.",
        )
    if action is SEND:
        needed("body", "a message", limit=BODY_LIMIT)
    refused = {name: why for name in chosen if (why := _refusal(action, name))}
    did = [name for name in chosen if name not in refused]
    return done(_told(action, did, refused), "/#agents", failed=bool(refused))


def _refusal(action: Action, name: str) -> str | None:
    """Do it to one agent; return why it was refused, if it was."""
    try:
        action.act(names.check(name))
    except HiveError as error:
        if error.code is ErrorCode.UNAUTHENTICATED:
            raise
        return error.message
    return None


def _told(action: Action, did: list[str], refused: dict[str, str]) -> str:
    """Return what came of it: ``8 paused, 2 refused:``, and a line for each."""
    if not refused:
        return f"{len(did)} {action.did}: {', '.join(did)}"
    head = f"{len(did)} {action.did}, {len(refused)} refused:"
    lines = [f"{quoted(one, limit=_NAME_SHOWN)}: {why}" for one, why in refused.items()]
    last = [f"{action.did.capitalize()}: {', '.join(did)}"] if did else []
    return "\n".join([head, *lines, *last])


def _agent(name: str) -> AgentParams:
    return AgentParams(agent=name)
