"""External notifications, and the browsers that receive them while no page is open.

Subscribing requires a script (``push.js``, which calls ``/api/push``); viewing, testing
and removing do not.
"""

import re
from typing import Any, Final

from flask import Blueprint, render_template
from werkzeug.wrappers import Response

from pyglue.api.common import NoParams
from pyglue.api.operator import NOTIFICATIONS, NOTIFY_TEST, PUSH_REMOVE
from pyglue.api.push import PushRemoveParams
from pyglue.web.pages.common import done, status
from pyglue.web.rpc import hive

blueprint = Blueprint("notifications", __name__)

_PAGE: Final = "/notifications"
_PROGRAMS: Final = (
    ("Edge", r"\bEdg(e|A|iOS)?/"),
    ("Opera", r"\bOPR/"),
    ("Samsung Internet", r"\bSamsungBrowser/"),
    ("Firefox", r"\b(Firefox|FxiOS)/"),
    ("Chrome", r"\b(Chrome|CriOS)/"),
    ("Safari", r"\bSafari/"),
)
"""In this order: most call themselves Chrome and Safari too."""
_SYSTEMS: Final = (
    ("iPhone", r"\biPhone\b"),
    ("iPad", r"\biPad\b"),
    ("Android", r"\bAndroid\b"),
    ("Windows", r"\bWindows\b"),
    ("macOS", r"\bMac OS X\b"),
    ("ChromeOS", r"\bCrOS\b"),
    ("Linux", r"\bLinux\b"),
)


def browser_name(agent: str) -> str:
    """Return ``Firefox on Android`` for what a browser calls itself, or just that."""
    program, system = _first(_PROGRAMS, agent), _first(_SYSTEMS, agent)
    if program is None:
        return agent
    return program if system is None else f"{program} on {system}"


def _first(names: tuple[tuple[str, str], ...], text: str) -> str | None:
    return next((name for name, form in names if re.search(form, text)), None)


@blueprint.get(_PAGE)
def page() -> str:
    """Show the notifications, their destinations and their status."""
    return render_template("notifications.html", status=status(), **_sent())


@blueprint.get("/fragments/notifications")
def fragment() -> str:
    """Return that page's lists again, for a live update."""
    return render_template("fragments/notifications.html", **_sent())


def _sent() -> dict[str, Any]:
    sent = hive().call(NOTIFICATIONS, NoParams())
    return {"sent": sent, "browser_name": browser_name}


@blueprint.post(f"{_PAGE}/test")
def test() -> Response:
    """Send a notification everywhere."""
    hive().call(NOTIFY_TEST, NoParams())
    return done("A test notification is being sent.", _PAGE)


@blueprint.post(f"{_PAGE}/<int:number>/remove")
def remove(number: int) -> Response:
    """Send a browser nothing more."""
    hive().call(PUSH_REMOVE, PushRemoveParams(id=number))
    return done(f"Browser {number} was unsubscribed.", _PAGE)
