"""How much needs the operator, on every page: in the navigation, title and tab's icon.

The navigation is a fragment that pages read anew also while nobody sees them: a count
is for who looks elsewhere.
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
    """How much needs the operator, and how much of it is an approval."""

    needs: int
    approvals: int


def counted(queue: needs.Queue) -> Waiting:
    """Count what is in the queue; what could not be read is not known."""
    approvals = sum(one.approval is not None for one in queue.items)
    return Waiting(needs=len(queue.items), approvals=approvals)


def now() -> Waiting | None:
    """Return how much needs the operator; None if it cannot be read."""
    try:
        return counted(needs.now(clip=1))
    except HiveError:
        return None


@blueprint.get("/fragments/nav")
def nav() -> str:
    """Give the navigation anew, of the page ``at``."""
    waiting = counted(needs.now(clip=1))
    here = request.args.get("at", "")
    return render_template("fragments/nav.html", waiting=waiting, here=here)


@blueprint.get("/favicon/<int:number>.svg")
def favicon(number: int) -> Response:
    """Give the tab's icon with a number in its corner."""
    text = str(number) if number <= _DIGIT_MAX else f"{_DIGIT_MAX}+"
    image = render_template("favicon.svg", text=text)
    return Response(image, content_type="image/svg+xml")
