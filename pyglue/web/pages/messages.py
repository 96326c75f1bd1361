"""Messages: the list, a message with its thread, sending, and marking as read.

A message to the operator counts as read once its page shows it in full; on that page, a
reply is shown below the message that it answers.
"""

import contextlib
from typing import Any, Final

from flask import Blueprint, render_template, request
from werkzeug.wrappers import Response

from pyglue.api.inbox import MarkReadParams, OperatorSendParams, ThreadParams
from pyglue.api.messages import BODY_LIMIT, MessageKind, Priority, ShownMessage
from pyglue.api.operator import MARK_READ, MESSAGES, OPERATOR_SEND, THREAD
from pyglue.errors import HiveError
from pyglue.names import EVERYONE, OPERATOR, SYSTEM
from pyglue.web.pages.common import (
    Part,
    agent_names,
    asked_messages,
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
        "filtered": bool(asked.text or asked.agent or asked.kind),
        "more": found[-1].id if len(found) >= _PAGE else None,
    }


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
    seen = [one.id for one in found.messages if _is_read(one)]
    if seen:
        hive().call(MARK_READ, MarkReadParams(ids=tuple(seen)))
    (this,) = (one for one in found.messages if one.id == number)
    other = this.recipient if this.sender == OPERATOR else this.sender
    return {
        "message": this,
        "thread": found.messages,
        "more": found.more,
        "to": None if other in (SYSTEM, OPERATOR) else other,
    }


def _is_read(message: ShownMessage) -> bool:
    return message.recipient == OPERATOR and not message.left_out


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
    if reply is not None:
        # It is sent; the message that it answers may be gone.
        with contextlib.suppress(HiveError):
            hive().call(MARK_READ, MarkReadParams(ids=(reply,)))
    missed = (
        f" Not delivered to {', '.join(sent.missed)}: inbox full."
        if sent.missed
        else ""
    )
    whom = "all agents" if to == EVERYONE else to
    return done(f"Message {sent.id} sent to {whom}.{missed}")


@blueprint.post("/inbox/<int:number>/read")
def mark_read(number: int) -> Response:
    """Mark a message of the inbox as read."""
    hive().call(MARK_READ, MarkReadParams(ids=(number,)))
    return done(f"Message {number} marked as read.", "/#inbox")


@blueprint.post("/inbox/read-to/<int:number>")
def mark_all_read(number: int) -> Response:
    """Mark all messages in the inbox as read, up to the newest on the page."""
    hive().call(MARK_READ, MarkReadParams(up_to=number))
    return done("All messages marked as read.", "/#inbox")
