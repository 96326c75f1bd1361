"""An agent's page, and the forms that start, stop and create agents."""

from typing import Any, Final

from flask import Blueprint, render_template, request
from markupsafe import Markup
from werkzeug.wrappers import Response

from pyglue import names
from pyglue.api.common import NoParams
from pyglue.api.inbox import MessagesParams
from pyglue.api.manager import RESTART, START, STOP, AgentParams, SpawnParams
from pyglue.api.operator import MESSAGES, QUESTIONS, SPAWN
from pyglue.api.overview import AgentDetail, AgentView
from pyglue.api.questions import QuestionView
from pyglue.bash_policy import review, suggest
from pyglue.errors import ErrorCode, HiveError
from pyglue.net import hosts
from pyglue.text.display import quoted
from pyglue.web.pages.command import completions
from pyglue.web.pages.common import Part, done, field, log_units, needed, part, status
from pyglue.web.pages.highlight import Budget, coloured
from pyglue.web.pages.moved import or_moved
from pyglue.web.pages.queue import queued
from pyglue.web.rpc import agent_detail, hive, web

blueprint = Blueprint("agents", __name__)

_MESSAGES_SHOWN: Final = 10
_MESSAGES_CLIP: Final = 400
_TALK_SHOWN: Final = 30
_TALK_CLIP: Final = 4000

_ACTIONS: Final = {"start": START, "stop": STOP, "restart": RESTART}
_WORDS: Final = {"start": "Starting", "stop": "Stopping", "restart": "Restarting"}


@blueprint.get("/agents/<name>")
def page(name: str) -> str | Response:
    """Show one agent: state, live turn, history, pinned record, log."""
    return or_moved(name, lambda: _page(name))


def _page(name: str) -> str:
    data, frame = _data(name), status()
    return render_template(
        "agent.html",
        status=frame,
        units=log_units(frame),
        queue=queued(data["agent"].name),
        **data,
        **_messages(data["agent"].name),
        **_talk(data["agent"].name),
    )


@blueprint.get("/fragments/agent/<name>/approvals")
def approvals(name: str) -> str:
    """Return an agent's approvals, for a live update."""
    detail = agent_detail(name)
    return render_template("fragments/history.html", detail=detail, agent=detail.agent)


@blueprint.get("/fragments/agent/<name>/talk")
def talk(name: str) -> str:
    """Return the conversation of operator and agent, for a live update."""
    agent = agent_detail(name).agent
    return render_template("fragments/talk.html", agent=agent, **_talk(agent.name))


@blueprint.get("/fragments/agent/<name>")
def fragment(name: str) -> str:
    """Return the changing part of an agent's page, for a live update."""
    return render_template("fragments/agent.html", **_data(name))


@blueprint.get("/fragments/agent/<name>/messages")
def messages(name: str) -> str:
    """Return an agent's other messages and open threads, for a live update."""
    agent = agent_detail(name).agent
    return render_template(
        "fragments/agent_messages.html", agent=agent, **_messages(agent.name)
    )


@blueprint.get("/fragments/agent/<name>/schedule")
def schedule(name: str) -> str:
    """Return an agent's schedules with their next times, for a live update."""
    detail = agent_detail(name)
    return render_template("fragments/schedule.html", detail=detail)


@blueprint.post("/agents/<name>/<action>")
def act(name: str, action: str) -> Response:
    """Start, stop or restart an agent."""
    method = _ACTIONS.get(action)
    if method is None:
        raise HiveError(ErrorCode.NOT_FOUND, f"There is no action {action[:40]!r}.")
    agent = names.check(name)
    operation = hive().call(method, AgentParams(agent=agent)).operation
    return done(f"{_WORDS[action]} {agent}…", "/#agents", operation=operation)


@blueprint.get("/agents/<name>/allow")
def allow(name: str) -> str:
    """Show a message to the manager, ready to send, that asks for a pattern or host."""
    agent = agent_detail(name).agent
    if "host" in request.args:
        return _allow_host(agent, request.args["host"])
    pattern = request.args.get("pattern", "")
    if len(pattern) > suggest.TEXT_MAX or not suggest.TEXT.fullmatch(pattern):
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            f"Invalid Bash pattern {quoted(pattern, limit=80)}: write words with "
            "single spaces between, without quotes or shell operators.",
        )
    body = (
        f"Please propose a change to {agent.name}: add the pattern {pattern!r} to "
        "hyperhive.bash.allow in its agent.nix, and nothing else. A command that "
        "needs it was refused."
    )
    return render_template(
        "allow.html",
        status=status(),
        agent=agent,
        what="a command",
        pattern=pattern,
        power=review.power(pattern),
        to=names.MANAGER,
        body=body,
    )


def _allow_host(agent: AgentView, entry: str) -> str:
    hosts.parse(entry)  # the agent chose it
    body = (
        f"Please propose a change to {agent.name}: add {entry!r} to "
        "hyperhive.network.allow in its agent.nix, and nothing else. A connection "
        "that needs it was refused."
    )
    return render_template(
        "allow.html",
        status=status(),
        agent=agent,
        what="a host",
        pattern=entry,
        power="It can send everything it knows there.",
        to=names.MANAGER,
        body=body,
    )


@blueprint.get("/fragments/agent/<name>/hosts")
def hosts_of(name: str) -> str:
    """Return an agent's hosts, for a live update."""
    detail = agent_detail(name)
    return render_template("fragments/hosts.html", detail=detail, agent=detail.agent)


@blueprint.post("/agents/spawn")
def spawn() -> Response:
    """Propose a new agent from the template."""
    name = names.check_new(needed("name", "a name"))
    description = field("description", limit=8192).strip()
    made = hive().call(SPAWN, SpawnParams(name=name, description=description))
    text = f"{name} is proposed. It starts once you approve it."
    return done(text, f"/approvals/{made.approval}")


def _data(name: str) -> dict[str, Any]:
    detail = agent_detail(name)
    return {
        "detail": detail,
        "agent": detail.agent,
        "nix": _nix(detail),
        "completions": completions(),
        "models": sorted(web().models),
    }


def _messages(name: str) -> dict[str, Part[Any]]:
    asked = MessagesParams(
        limit=_MESSAGES_SHOWN, agent=name, without=names.OPERATOR, clip=_MESSAGES_CLIP
    )
    return {
        "messages": part(lambda: hive().call(MESSAGES, asked).messages),
        "asked_now": part(lambda: _open_questions(name)),
    }


def _talk(name: str) -> dict[str, Part[Any]]:
    asked = MessagesParams(
        limit=_TALK_SHOWN, agent=name, peer=names.OPERATOR, clip=_TALK_CLIP
    )
    return {"talk": part(lambda: hive().call(MESSAGES, asked).messages)}


def _open_questions(name: str) -> tuple[QuestionView, ...]:
    found = hive().call(QUESTIONS, NoParams()).questions
    ours = [q for q in found if name in (q.asker, q.to) and not q.answered_at]
    return tuple(ours[:_MESSAGES_SHOWN])


def _nix(detail: AgentDetail) -> list[Markup]:
    if detail.agent_nix is None:
        return []
    lines = detail.agent_nix.split("\n")
    return coloured("agent.nix", lines, Budget(), whole=True)
