"""Logging in and out.

``hive login`` prints an address with a one-time code. Opening it consumes nothing
(a chat's link preview may do so too): the page's form posts the code, by itself with
JavaScript, by a button without.
"""

from flask import Blueprint, g, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from pyglue.api.logins import LoginParams, LogoutParams
from pyglue.api.operator import LOGIN, LOGOUT
from pyglue.errors import ErrorCode, HiveError
from pyglue.web.errors import status_of
from pyglue.web.guard import auth
from pyglue.web.rpc import HiveLink, hive, web

blueprint = Blueprint("login", __name__)

_CODE_LIMIT = 256


@blueprint.get("/login")
def page() -> str:
    """Show the form; the code of the address is in it."""
    code = request.args.get("code", "")[:_CODE_LIMIT]
    return render_template("login.html", code=code or None, problem=None, here=None)


@blueprint.post("/login")
def submit() -> Response:
    """Exchange the code for a session."""
    code = request.form.get("code", "").strip()[:_CODE_LIMIT]
    link = HiveLink(web().socket, None)
    try:
        result = link.call(LOGIN, LoginParams(code=code))
    except HiveError as error:
        if error.code is ErrorCode.UNAVAILABLE:
            raise
        problem = error.message
        html = render_template("login.html", code=None, problem=problem, here=None)
        return make_response(html, status_of(error.code))
    finally:
        link.close()
    response = redirect("/", 303)
    auth.set_session(response, result.session, result.expires_at)  # type: ignore[arg-type]
    return response


@blueprint.post("/logout")
def leave() -> Response:
    """End the session, here and in hived."""
    hive().call(LOGOUT, LogoutParams(session=g.session))
    web().hub.end_session(g.session)
    response = redirect("/login", 303)
    auth.drop_session(response)  # type: ignore[arg-type]
    return response
