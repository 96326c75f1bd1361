"""The number of items that need the operator: in navigation, title and icon.

The navigation is a fragment that pages refresh even while they are hidden, so that the
count is visible from other tabs.
"""

from dataclasses import dataclass
from typing import Final

from flask import Blueprint, render_template, request
from werkzeug.wrappers import Response

from pyglue.errors import HiveError
from pyglue.web.pages import needs

blueprint = Blueprint("waiting", __name__)

_DIGIT_MAX: Final = 9


@dataclass(frozen=True)
class Waiting:
    """The number of items that need the operator, and the approvals among them."""

    needs: int
    approvals: int


def counted(queue: needs.Queue) -> Waiting:
    """Count the queue; sources that could not be read are unknown."""
    approvals = sum(one.approval is not None for one in queue.items)
    return Waiting(needs=len(queue.items), approvals=approvals)


def now() -> Waiting | None:
    """Return how many items need the operator; None if they cannot be read."""
    try:
        return counted(needs.now(clip=1))
    except HiveError:
        return None


@blueprint.get("/fragments/nav")
def nav() -> str:
    """Return the navigation of the page ``at``, for a live update."""
    waiting = counted(needs.now(clip=1))
    here = request.args.get("at", "")
    return render_template("fragments/nav.html", waiting=waiting, here=here)


@blueprint.get("/favicon/<int:number>.svg")
def favicon(number: int) -> Response:
    """Return the tab's icon with a number in its corner."""
    text = str(number) if number <= _DIGIT_MAX else f"{_DIGIT_MAX}+"
    image = render_template("favicon.svg", text=text)
    return Response(image, content_type="image/svg+xml")
