"""The operator's inbox: its page, and marking messages as unread, read or done."""

from typing import Any, Final

from flask import Blueprint, render_template, request
from werkzeug.wrappers import Response

from pyglue.api.inbox import InboxFilter, InboxParams, MarkParams
from pyglue.api.messages import Mark
from pyglue.api.operator import INBOX, MARK
from pyglue.errors import ErrorCode, HiveError
from pyglue.web.pages.common import Part, asked_before, done, status
from pyglue.web.rpc import hive

blueprint = Blueprint("inbox", __name__)

_PAGE: Final = 50
_CLIP: Final = 1200
_TOLD: Final = {
    Mark.UNREAD: "Message {} marked as unread.",
    Mark.READ: "Message {} marked as read.",
    Mark.DONE: "Message {} is done.",
}


@blueprint.get("/inbox")
def page() -> str:
    """Show the inbox: open messages, or those that the query asks for."""
    return render_template("inbox.html", status=status(), **_listed())


@blueprint.get("/fragments/inbox/list")
def rows() -> str:
    """Return that list again, for a live update."""
    return render_template("fragments/inbox_list.html", **_listed())


def _listed() -> dict[str, Any]:
    asked = request.args.get("show", InboxFilter.OPEN)
    if asked not in set(InboxFilter):
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            f"Invalid filter {asked[:40]!r}: use one of {', '.join(InboxFilter)}.",
        )
    show = InboxFilter(asked)
    params = InboxParams(show=show, limit=_PAGE, before=asked_before(), clip=_CLIP)
    found = hive().call(INBOX, params).messages
    return {
        "show": show,
        "filters": tuple(InboxFilter),
        "inbox": Part(found),
        "more": found[-1].id if len(found) >= _PAGE else None,
    }


@blueprint.post("/inbox/<int:number>/<mark>")
def mark(number: int, mark: str) -> Response:
    """Mark a message as unread, read or done."""
    if mark not in set(Mark) or number < 1:
        raise HiveError(ErrorCode.NOT_FOUND, f"There is no action {mark[:40]!r}.")
    as_ = Mark(mark)
    hive().call(MARK, MarkParams(mark=as_, ids=(number,)))
    return done(_TOLD[as_].format(number), "/#inbox")


@blueprint.post("/inbox/read-to/<int:number>")
def mark_all_read(number: int) -> Response:
    """Mark all messages in the inbox as read, up to the newest on the page."""
    if number < 1:
        raise HiveError(ErrorCode.NOT_FOUND, f"There is no message {number}.")
    hive().call(MARK, MarkParams(mark=Mark.READ, up_to=number))
    return done("All messages marked as read.", "/#inbox")
