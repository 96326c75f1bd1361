"""The operator's control of a running agent: buttons, and the box of the conversation.

Both use the same calls. The box takes a message, or a command:
``/steer TEXT``, ``/model NAME``, ``/compact``, ``/new``, ``/cancel``, ``/pause``,
``/resume`` and ``/help``.
"""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from flask import Blueprint, request
from werkzeug.wrappers import Response as AnyResponse

from pyglue import names
from pyglue.api.accounts import SetAccountParams
from pyglue.api.common import NoParams
from pyglue.api.control import (
    AfterCancel,
    CancelTurnOfParams,
    ModelStatus,
    PauseAllParams,
    PauseParams,
    SetModelParams,
)
from pyglue.api.inbox import OperatorSendParams
from pyglue.api.manager import AgentParams
from pyglue.api.messages import BODY_LIMIT, Priority
from pyglue.api.operator import (
    AGENT,
    CANCEL_TURN_OF,
    COMPACT,
    NEW_SESSION,
    OPERATOR_SEND,
    PAUSE,
    PAUSE_ALL,
    RESET_MODEL,
    RESUME,
    RESUME_ALL,
    SET_ACCOUNT,
    SET_MODEL,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.web.pages.common import done, field, needed
from pyglue.web.rpc import hive, web

blueprint = Blueprint("command", __name__)

_LINE_MAX: Final = 4000
_CANCELLED: Final = {
    AfterCancel.REQUEUE: "are queued again",
    AfterCancel.LATER: "are queued after all others",
    AfterCancel.DROP: "are dropped",
}


@dataclass(frozen=True)
class Command:
    """A command: its syntax, its purpose, and its action."""

    usage: str
    about: str
    act: Callable[[str, str], str]


def _model(agent: str, word: str) -> str:
    if not word:
        now = hive().call(AGENT, AgentParams(agent=agent)).agent.model_status
        return _model_sentence(now)
    if word == "default":
        return _model_sentence(hive().call(RESET_MODEL, AgentParams(agent=agent)))
    return _model_sentence(
        hive().call(SET_MODEL, SetModelParams(agent=agent, model=word))
    )


def _model_sentence(now: ModelStatus | None) -> str:
    if now is None:
        return "No model yet: the agent has not been deployed."
    parts = [f"Active: {now.active}."]
    if now.queued is not None:
        parts.append(f"From the next turn: {now.queued}.")
    if now.override is not None:
        parts.append(f"The manifest sets {now.manifest}; /model default restores it.")
    return " ".join(parts)


def _steer(agent: str, text: str) -> str:
    if not text:
        raise HiveError(ErrorCode.BAD_REQUEST, "Enter a message after /steer.")
    return _send(agent, text, Priority.HIGH)


def _send(agent: str, text: str, priority: Priority) -> str:
    params = OperatorSendParams(to=agent, body=text, priority=priority)
    sent = hive().call(OPERATOR_SEND, params)
    if sent.turn is None:
        when = f"{agent} gets it with its next turn"
    else:
        when = f"turn {sent.turn} gets it when its current tool call has ended"
    return f"Sent as message {sent.id}; {when}."


def _compact(agent: str, _word: str) -> str:
    hive().call(COMPACT, AgentParams(agent=agent))
    view = hive().call(AGENT, AgentParams(agent=agent)).agent
    if view.turn is not None:
        return f"{agent} compacts its session after turn {view.turn}."
    if not view.turns:
        return f"{agent} has had no turn yet, so there is nothing to compact."
    return f"Compacting the session of {agent}…"


def _new(agent: str, _word: str) -> str:
    hive().call(NEW_SESSION, AgentParams(agent=agent))
    return f"{agent} continues in a new session as soon as no turn is running."


def _cancel(agent: str, reason: str) -> str:
    return _cancelled(agent, AfterCancel.REQUEUE, reason)


def _cancelled(agent: str, then: AfterCancel, reason: str = "") -> str:
    params = CancelTurnOfParams(agent=agent, reason=reason, messages=then)
    hive().call(CANCEL_TURN_OF, params)
    return f"Cancelled the turn of {agent}; its messages {_CANCELLED[then]}."


def _pause(agent: str, reason: str) -> str:
    hive().call(PAUSE, PauseParams(agent=agent, reason=reason))
    return f"{agent} is paused: no new turns until you resume it."


def _resume(agent: str, _word: str) -> str:
    hive().call(RESUME, AgentParams(agent=agent))
    return f"{agent} resumed."


def _help(_agent: str, _word: str) -> str:
    return "\n".join(f"{one.usage}  {one.about}" for one in COMMANDS.values())


COMMANDS: Final = {
    "steer": Command("/steer TEXT", "send a message with high priority", _steer),
    "model": Command("/model [NAME]", "switch models from the next turn", _model),
    "compact": Command("/compact", "compact the session", _compact),
    "new": Command("/new", "start a new session", _new),
    "cancel": Command("/cancel [REASON]", "cancel the running turn", _cancel),
    "pause": Command("/pause [REASON]", "pause the agent (no new turns)", _pause),
    "resume": Command("/resume", "resume after a pause", _resume),
    "help": Command("/help", "list the commands", _help),
}


def completions() -> tuple[str, ...]:
    """Return the completions that the field offers."""
    commands = [f"/{name}" for name in COMMANDS]
    return (
        *commands,
        *(f"/model {name}" for name in sorted(web().models)),
        "/model default",
    )


@blueprint.post("/agents/<name>/command")
def command(name: str) -> AnyResponse:
    """Send a message or run a command; answer JSON to the page's script."""
    agent = names.check(name)
    text = _run(agent, needed("line", "a message or a command", limit=BODY_LIMIT))
    return done(text, f"/agents/{agent}")


def _run(agent: str, line: str) -> str:
    if not line.startswith("/"):
        is_urgent = request.form.get("priority") == Priority.HIGH
        return _send(agent, line, Priority.HIGH if is_urgent else Priority.NORMAL)
    word, _, rest = line.partition(" ")
    found = COMMANDS.get(word.removeprefix("/"))
    if found is None:
        close = difflib.get_close_matches(word[1:41], COMMANDS, n=1)
        meant = f", did you mean /{close[0]}?" if close else "."
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            f"There is no command {word[:40]}{meant} Enter /help to list commands; a "
            "message that begins with a slash goes after /steer.",
        )
    return found.act(agent, rest.strip())


@blueprint.post("/agents/<name>/do/<action>")
def act(name: str, action: str) -> AnyResponse:
    """Run a button's command; its argument is the form field ``word``."""
    agent, found = names.check(name), COMMANDS.get(action)
    if found is None:
        raise HiveError(ErrorCode.NOT_FOUND, f"There is no action {action[:40]!r}.")
    word = field("word", limit=_LINE_MAX).strip() if "word" in request.form else ""
    return done(found.act(agent, word), f"/agents/{agent}")


@blueprint.post("/agents/<name>/account")
def account(name: str) -> AnyResponse:
    """Set the account that pays for the agent, or the default one."""
    agent, chosen = names.check(name), needed("account", "an account", limit=_LINE_MAX)
    detail = hive().call(AGENT, AgentParams(agent=agent))
    is_default = chosen in detail.accounts[:1]
    if is_default and detail.agent.account == chosen:
        raise HiveError(ErrorCode.CONFLICT, f"{agent} already uses {chosen}.")
    params = SetAccountParams(agent=agent, account=None if is_default else chosen)
    hive().call(SET_ACCOUNT, params)
    text = f"{agent} uses the account {chosen} from its next request on."
    return done(text, f"/agents/{agent}")


@blueprint.post("/agents/<name>/cancel")
def cancel(name: str) -> AnyResponse:
    """Cancel the running turn; the form says what happens to its messages."""
    agent, chosen = names.check(name), needed("messages", "a choice", limit=_LINE_MAX)
    if chosen not in list(AfterCancel):
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            f"Invalid choice {chosen[:40]!a}: use one of {', '.join(AfterCancel)}.",
        )
    return done(_cancelled(agent, AfterCancel(chosen)), f"/agents/{agent}")


@blueprint.post("/pause")
def pause_all() -> AnyResponse:
    """Stop in an emergency: cancel all turns and start no new ones."""
    reason = field("reason", limit=1000).strip()
    hive().call(PAUSE_ALL, PauseAllParams(reason=reason))
    return done("The whole hive is paused. All running turns were cancelled.")


@blueprint.post("/resume")
def resume_all() -> AnyResponse:
    """Resume the hive."""
    hive().call(RESUME_ALL, NoParams())
    return done("The hive resumed.")
