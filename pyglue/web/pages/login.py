"""Logging in and out.

``hive login`` prints an address with a one-time code. Opening it consumes nothing
(a chat's link preview may do so too): the page's form posts the code. With JavaScript
it does so automatically, unless there is something to choose.
"""

import re
from typing import Final

from flask import Blueprint, g, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from pyglue.api.logins import LoginParams, LogoutParams
from pyglue.api.operator import LOGIN, LOGOUT
from pyglue.errors import ErrorCode, HiveError
from pyglue.web.errors import status_of
from pyglue.web.guard import cookies
from pyglue.web.rpc import HiveLink, hive, web

blueprint = Blueprint("login", __name__)

_CODE_LIMIT: Final = 256
_LINK_LIMIT: Final = 2048
_LINK: Final = re.compile(r"[?&]code=([A-Za-z0-9_-]+)")
_OURS: Final = re.compile(r"/(?![/\\])[\w./?&=%+,~:-]{0,1000}", re.ASCII)
"""A path on this site: text after two slashes would be another site's name."""


@blueprint.get("/login")
def page() -> str:
    """Show the form, with the code from the address."""
    code = request.args.get("code", "")[:_CODE_LIMIT]
    return render_template("login.html", code=code or None, problem=None, here=None)


@blueprint.post("/login")
def submit() -> Response:
    """Exchange the code for a session."""
    code = _code(request.form.get("code", ""))
    trusted = "trusted" in request.form
    link = HiveLink(web().socket, None)
    try:
        result = link.call(LOGIN, LoginParams(code=code, trusted=trusted))
    except HiveError as error:
        if error.code is ErrorCode.UNAVAILABLE:
            raise
        problem = error.message
        here = _wanted()
        html = render_template("login.html", code=None, problem=problem, here=here)
        return make_response(html, status_of(error.code))
    finally:
        link.close()
    response = redirect(_wanted() or "/", 303)
    cookies.set_session(response, result.session, result.expires_at)  # type: ignore[arg-type]
    return response


def _code(given: str) -> str:
    """Return the code as typed; the whole link may be pasted, too."""
    link = _LINK.search(given[:_LINK_LIMIT])
    return link.group(1) if link else given.strip()[:_CODE_LIMIT]


def _wanted() -> str | None:
    """Return the page of ours that requested the login, if any."""
    asked = request.form.get("next", "")
    return asked if _OURS.fullmatch(asked) else None


@blueprint.post("/logout")
def leave() -> Response:
    """End the session, here and in hived."""
    hive().call(LOGOUT, LogoutParams(session=g.session))
    web().hub.end_session(g.session)
    response = redirect("/login", 303)
    cookies.drop_session(response)  # type: ignore[arg-type]
    return response
