"""Messages: the list, pairs of agents, a message with its thread, and sending.

A message to the operator counts as read once its page shows it in full; on that page, a
reply is shown below the message that it answers.
"""

from typing import Any, Final

from flask import Blueprint, render_template, request
from werkzeug.wrappers import Response

from pyglue.api.inbox import MarkParams, OperatorSendParams, PairsParams, ThreadParams
from pyglue.api.messages import BODY_LIMIT, Mark, MessageKind, Priority, ShownMessage
from pyglue.api.operator import MARK, MESSAGES, OPERATOR_SEND, PAIRS, THREAD
from pyglue.names import EVERYONE, OPERATOR, SYSTEM
from pyglue.web.pages.common import (
    Part,
    agent_names,
    asked_messages,
    asked_name,
    done,
    needed,
    status,
)
from pyglue.web.rpc import hive

blueprint = Blueprint("messages", __name__)

_PAGE: Final = 100
_THREAD_CLIP: Final = 2000
CLIP: Final = 400
"""Characters of a body in a list; hived clips it, so that large ones cost nothing."""


@blueprint.get("/messages")
def listing() -> str:
    """Show the flow of messages: filtered, searched, page by page."""
    return render_template(
        "messages.html",
        status=status(),
        names=(*agent_names(), OPERATOR, SYSTEM),
        kinds=tuple(MessageKind),
        **_listed(),
    )


@blueprint.get("/fragments/messages/list")
def rows() -> str:
    """Return that list again, for a live update."""
    return render_template("fragments/message_list.html", **_listed())


def _listed() -> dict[str, Any]:
    asked = asked_messages(_PAGE, CLIP)
    found = hive().call(MESSAGES, asked).messages
    return {
        "messages": Part(found),
        "asked": asked,
        "filtered": bool(asked.text or asked.agent or asked.peer or asked.kind),
        "more": found[-1].id if len(found) >= _PAGE else None,
    }


@blueprint.get("/messages/pairs")
def pairs() -> str:
    """Show who wrote to whom; each pair leads to its messages."""
    names = (*agent_names(), OPERATOR, SYSTEM)
    return render_template("pairs.html", status=status(), names=names, **_pairs())


@blueprint.get("/fragments/messages/pairs")
def paired() -> str:
    """Return these pairs again, for a live update."""
    return render_template("fragments/pairs.html", **_pairs())


def _pairs() -> dict[str, Any]:
    agent = asked_name("agent")
    return {"agent": agent, "pairs": hive().call(PAIRS, PairsParams(agent=agent))}


@blueprint.get("/messages/<int:number>")
def page(number: int) -> str:
    """Show one message in full, the message that it answers, and its answers."""
    return render_template("message.html", status=status(), **_thread(number))


@blueprint.get("/fragments/messages/<int:number>")
def thread(number: int) -> str:
    """Return the thread of a message, for a live update."""
    return render_template("fragments/thread.html", **_thread(number))


def _thread(number: int) -> dict[str, Any]:
    found = hive().call(THREAD, ThreadParams(id=number, clip=_THREAD_CLIP))
    seen = tuple(one.id for one in found.messages if _is_seen(one))
    if seen:
        hive().call(MARK, MarkParams(mark=Mark.READ, ids=seen))
    (this,) = (one for one in found.messages if one.id == number)
    other = this.recipient if this.sender == OPERATOR else this.sender
    return {
        "message": this,
        "thread": found.messages,
        "more": found.more,
        "to": None if other in (SYSTEM, OPERATOR) else other,
    }


def _is_seen(message: ShownMessage) -> bool:
    return message.mark is Mark.UNREAD and not message.left_out


@blueprint.post("/send")
def send() -> Response:
    """Write to an agent, or answer one of its messages."""
    to = needed("to", "a recipient")
    body = needed("body", "a message", limit=BODY_LIMIT)
    reply = request.form.get("reply_to", type=int)
    urgent = request.form.get("priority") == Priority.HIGH.value
    sent = hive().call(
        OPERATOR_SEND,
        OperatorSendParams(
            to=to,
            body=body,
            reply_to=reply,
            priority=Priority.HIGH if urgent else Priority.NORMAL,
        ),
    )
    missed = (
        f" Not delivered to {', '.join(sent.missed)}: inbox full."
        if sent.missed
        else ""
    )
    whom = "all agents" if to == EVERYONE else to
    return done(f"Message {sent.id} sent to {whom}.{missed}")
