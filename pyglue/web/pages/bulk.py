"""One action on many agents, with a result for each.

A refusal for one agent does not affect the others. The actions are those of an agent's
buttons, and use the same calls. One that cancels running turns asks for confirmation,
and names them: the form comes back with ``confirmed``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec
from flask import Blueprint, render_template, request
from werkzeug.wrappers import Response

from pyglue import names
from pyglue.api.inbox import OperatorSendParams
from pyglue.api.manager import REBUILD, RESTART, START, STOP, AgentParams
from pyglue.api.messages import BODY_LIMIT
from pyglue.api.operator import OPERATOR_SEND
from pyglue.errors import ErrorCode, HiveError
from pyglue.text.display import quoted
from pyglue.web.errors import wants_json
from pyglue.web.pages import needs
from pyglue.web.pages.command import COMMANDS
from pyglue.web.pages.common import done, needed, status
from pyglue.web.pages.doing import activity
from pyglue.web.rpc import hive

blueprint = Blueprint("bulk", __name__)

_MOST: Final = 1000
_NAME_SHOWN: Final = 40


@dataclass(frozen=True, kw_only=True)
class Action:
    """A button: its label, the past participle for the result, and its action.

    ``turns``: what happens to running turns, if it ends them.
    """

    button: str
    did: str
    act: Callable[[str], object]
    turns: str = ""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A confirmation: the question, what is lost, and the two answers."""

    title: str
    text: str
    rows: tuple[tuple[str, str], ...]
    """Agents that are running a turn, and what each is doing."""
    button: str


def _command(name: str) -> Callable[[str], object]:
    return lambda agent: COMMANDS[name].act(agent, "")


def _send(agent: str) -> object:
    body = needed("body", "a message", limit=BODY_LIMIT)
    return hive().call(OPERATOR_SEND, OperatorSendParams(to=agent, body=body))


FIRST: Final = {
    "pause": Action(button="Pause", did="paused", act=_command("pause")),
    "resume": Action(button="Resume", did="resumed", act=_command("resume")),
    "start": Action(
        button="Start", did="starting", act=lambda one: hive().call(START, _agent(one))
    ),
    "stop": Action(
        button="Stop",
        did="stopping",
        act=lambda one: hive().call(STOP, _agent(one)),
        turns="Running turns are cancelled",
    ),
    "restart": Action(
        button="Restart",
        did="restarting",
        act=lambda one: hive().call(RESTART, _agent(one)),
        turns="Running turns are cancelled",
    ),
}
MORE: Final = {
    "cancel": Action(
        button="Cancel turns",
        did="cancelled",
        act=_command("cancel"),
        turns="Running turns are cancelled",
    ),
    "compact": Action(button="Compact", did="will compact", act=_command("compact")),
    "new": Action(
        button="New sessions", did="will begin a new session", act=_command("new")
    ),
    "rebuild": Action(
        button="Rebuild",
        did="rebuilding",
        act=lambda one: hive().call(REBUILD, _agent(one)),
        turns="Turns that do not finish soon are cancelled",
    ),
}
SEND: Final = Action(button="Send", did="written to", act=_send)
_ACTIONS: Final = {**FIRST, **MORE, "send": SEND}


@blueprint.post("/bulk")
def act() -> Response:
    """Run an action on every selected agent, with a result for each; or ask first."""
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
    if action.turns and request.form.get("confirmed") != "yes":
        asked = _ask(action, chosen)
        if asked is not None:
            return _asking(asked, word, chosen)
    refused = {name: why for name in chosen if (why := _refusal(action, name))}
    did = [name for name in chosen if name not in refused]
    return done(_result(action, did, refused), "/#agents", failed=bool(refused))


def _ask(action: Action, chosen: tuple[str, ...]) -> Ask | None:
    """Return the confirmation for the action, if one of the agents is in a turn."""
    agents = {one.name: one for one in needs.everyone()}
    busy = [agents[one] for one in chosen if one in agents and agents[one].turn]
    if not busy:
        return None
    count, number = len(busy), len(chosen)
    which = f"{count} of {number} agents" if number > 1 else "The agent"
    doing = activity(())
    return Ask(
        title=f"{action.button}: {number} {'agent' if number == 1 else 'agents'}",
        text=f"{which} {'is' if count == 1 else 'are'} in a turn. {action.turns}, "
        "and their messages are queued again.",
        rows=tuple((one.name, doing.of(one).text) for one in busy),
        button=action.button,
    )


def _asking(asked: Ask, word: str, chosen: tuple[str, ...]) -> Response:
    """Answer with the confirmation: as data for the page's script, else as a page."""
    if wants_json():
        data = msgspec.json.encode({"ask": asked})
        return Response(data, content_type="application/json")
    page = render_template(
        "ask.html",
        status=status(),
        asked=asked,
        do=word,
        chosen=chosen,
        back=request.form.get("back", ""),
    )
    return Response(page, content_type="text/html; charset=utf-8")


def _refusal(action: Action, name: str) -> str | None:
    """Run it on one agent; return the reason of a refusal, if it was refused."""
    try:
        action.act(names.check(name))
    except HiveError as error:
        if error.code is ErrorCode.UNAUTHENTICATED:
            raise
        return error.message
    return None


def _result(action: Action, did: list[str], refused: dict[str, str]) -> str:
    """Return the result: ``8 paused, 2 refused:``, and a line for each."""
    if not refused:
        return f"{len(did)} {action.did}: {', '.join(did)}"
    head = f"{len(did)} {action.did}, {len(refused)} refused:"
    lines = [f"{quoted(one, limit=_NAME_SHOWN)}: {why}" for one, why in refused.items()]
    last = [f"{action.did.capitalize()}: {', '.join(did)}"] if did else []
    return "\n".join([head, *lines, *last])


def _agent(name: str) -> AgentParams:
    return AgentParams(agent=name)
