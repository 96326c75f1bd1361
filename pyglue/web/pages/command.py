"""What the operator does to a working agent: buttons and the command line.

Both end in the same calls. The command line takes ``/model NAME``, ``/compact``,
``/cancel``, ``/pause``, ``/resume`` and ``/help``; what does not begin with ``/`` is no
command and nothing is sent.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec
from flask import Blueprint, Response, request
from werkzeug.wrappers import Response as AnyResponse

from pyglue import models, names
from pyglue.api.common import NoParams
from pyglue.api.control import (
    CancelTurnOfParams,
    ModelStatus,
    PauseAllParams,
    PauseParams,
    SetModelParams,
)
from pyglue.api.manager import AgentParams
from pyglue.api.operator import (
    AGENT,
    CANCEL_TURN_OF,
    COMPACT,
    PAUSE,
    PAUSE_ALL,
    RESET_MODEL,
    RESUME,
    RESUME_ALL,
    SET_MODEL,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.web.pages.common import done, field, needed
from pyglue.web.rpc import hive

blueprint = Blueprint("command", __name__)

_LINE_MAX: Final = 400


@dataclass(frozen=True)
class Command:
    """A command: how it is written, what it is for, what it does."""

    usage: str
    about: str
    act: Callable[[str, str], str]


def _model(agent: str, word: str) -> str:
    if not word:
        now = hive().call(AGENT, AgentParams(agent=agent)).agent.model_status
        return _told(now)
    if word == "default":
        return _told(hive().call(RESET_MODEL, AgentParams(agent=agent)))
    return _told(hive().call(SET_MODEL, SetModelParams(agent=agent, model=word)))


def _told(now: ModelStatus | None) -> str:
    if now is None:
        return "No model yet: nothing is deployed."
    parts = [f"Active: {now.active}."]
    if now.queued is not None:
        parts.append(f"From the next turn on: {now.queued}.")
    if now.override is not None:
        parts.append(f"The manifest says {now.manifest}; /model default goes back.")
    return " ".join(parts)


def _compact(agent: str, _word: str) -> str:
    hive().call(COMPACT, AgentParams(agent=agent))
    return f"{agent} compacts its session when its turn has ended."


def _cancel(agent: str, reason: str) -> str:
    hive().call(CANCEL_TURN_OF, CancelTurnOfParams(agent=agent, reason=reason))
    return f"The turn of {agent} is cancelled; its mail waits again."


def _pause(agent: str, reason: str) -> str:
    hive().call(PAUSE, PauseParams(agent=agent, reason=reason))
    return f"{agent} begins no further turn until it is resumed."


def _resume(agent: str, _word: str) -> str:
    hive().call(RESUME, AgentParams(agent=agent))
    return f"{agent} goes on."


def _help(_agent: str, _word: str) -> str:
    return "\n".join(f"{one.usage}  {one.about}" for one in COMMANDS.values())


COMMANDS: Final = {
    "model": Command(
        "/model [NAME]", "use another model from the next turn on", _model
    ),
    "compact": Command("/compact", "compact the session", _compact),
    "cancel": Command("/cancel [REASON]", "cancel the running turn", _cancel),
    "pause": Command("/pause [REASON]", "begin no further turn", _pause),
    "resume": Command("/resume", "go on after a pause", _resume),
    "help": Command("/help", "list the commands", _help),
}


def completions() -> tuple[str, ...]:
    """Return what the field offers."""
    known = sorted(alias for model in models.MODELS for alias in model.aliases)
    commands = [f"/{name}" for name in COMMANDS]
    return (*commands, *(f"/model {name}" for name in known), "/model default")


@blueprint.post("/agents/<name>/command")
def command(name: str) -> AnyResponse:
    """Obey one line; as JSON for the page's script."""
    agent = names.check(name)
    text = _obey(agent, needed("line", "a command", limit=_LINE_MAX))
    if request.accept_mimetypes.best == "application/json":
        body = msgspec.json.encode({"text": text})
        return Response(body, content_type="application/json")
    return done(text, f"/agents/{agent}")


def _obey(agent: str, line: str) -> str:
    word, _, rest = line.partition(" ")
    found = COMMANDS.get(word.removeprefix("/")) if word.startswith("/") else None
    if found is None:
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            "Commands begin with “/”: /help lists them. To write to the agent, use the "
            "message form.",
        )
    return found.act(agent, rest.strip())


@blueprint.post("/agents/<name>/do/<action>")
def act(name: str, action: str) -> AnyResponse:
    """Obey a button: a command's name, its word in the form's field ``word``."""
    agent, found = names.check(name), COMMANDS.get(action)
    if found is None:
        raise HiveError(ErrorCode.NOT_FOUND, "There is no such action.")
    word = field("word", limit=_LINE_MAX).strip() if "word" in request.form else ""
    return done(found.act(agent, word), f"/agents/{agent}")


@blueprint.post("/pause")
def pause_all() -> AnyResponse:
    """Stop in an emergency: no turn goes on, none begins."""
    reason = field("reason", limit=1000).strip()
    hive().call(PAUSE_ALL, PauseAllParams(reason=reason))
    return done("The whole hive is paused: every turn is cancelled, none begins.")


@blueprint.post("/resume")
def resume_all() -> AnyResponse:
    """Let the hive go on."""
    hive().call(RESUME_ALL, NoParams())
    return done("The hive goes on.")
