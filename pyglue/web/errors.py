"""Error responses: a page with a sentence, or problem+json under /api.

HiveErrors, HTTP errors and unexpected exceptions all end here, so no answer ever
contains a traceback. Without a valid session, the answer is the login page.
"""

import contextlib
import logging
import re
from http import HTTPStatus
from typing import Final

from flask import Flask, Response, g, make_response, render_template, request
from werkzeug.exceptions import HTTPException

from pyglue.api.common import NoParams
from pyglue.api.operator import STATUS
from pyglue.api.overview import HiveStatus
from pyglue.errors import ErrorCode, HiveError
from pyglue.web import problem
from pyglue.web.guard import auth
from pyglue.web.rpc import hive

_log = logging.getLogger(__name__)

_STATUS: Final = {
    ErrorCode.BAD_REQUEST: 400,
    ErrorCode.INVALID_NAME: 400,
    ErrorCode.NAME_RESERVED: 400,
    ErrorCode.INVALID_COMMIT: 400,
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.UNKNOWN_METHOD: 501,
    ErrorCode.CONFLICT: 409,
    ErrorCode.STALE: 409,
    ErrorCode.NAME_TAKEN: 409,
    ErrorCode.AGENT_NOT_RUNNING: 409,
    ErrorCode.NO_CHANGE: 409,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.TOO_MANY: 503,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.TIMEOUT: 504,
    ErrorCode.UNAVAILABLE: 503,
    ErrorCode.INTERNAL: 500,
}
_API: Final = re.compile(r"/api/|/agents/[^/]*/api/|/metrics$")
_OTHERWISE: Final = 422
_NO_FRAME: Final[frozenset[str]] = frozenset(
    {ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT, ErrorCode.TOO_MANY, ErrorCode.FORBIDDEN}
)
"""Errors after which the banner is not requested from hived."""
_RETRY_AFTER: Final = frozenset({429, 503})


_TITLES: Final[dict[str, str]] = {
    ErrorCode.UNAVAILABLE: "The hive is not answering",
    ErrorCode.TIMEOUT: "The hive is not answering",
    ErrorCode.TOO_MANY: "Too many requests",
    ErrorCode.INTERNAL: "Something went wrong",
}
"""Titles of errors whose sentence does not begin with the cause."""
_CAUSE: Final = re.compile(r"(.{1,80}?)[.!?](?:\s+(.*))?", re.DOTALL)
"""The first sentence of an error, and the rest."""


def init(app: Flask) -> None:
    """Register the handlers."""
    app.register_error_handler(HiveError, hive_error)
    app.register_error_handler(auth.ElsewhereError, elsewhere)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(Exception, unexpected)


def status_of(code: ErrorCode) -> int:
    """Return the HTTP status for an error."""
    return _STATUS.get(code, _OTHERWISE)


def hive_error(error: HiveError) -> Response:
    """Answer an error from hived or ``auth``."""
    status = status_of(error.code)
    if status == HTTPStatus.UNAUTHORIZED:
        return _not_logged_in(error)
    return _answer(status, error.code.value, error.message)


def elsewhere(_error: auth.ElsewhereError) -> Response:
    """Answer a request by a shared name: only explain how to log in."""
    if wants_json():
        sentence = (
            "You are not logged in at this address. Run `hive login` for the link."
        )
        return _problem(401, ErrorCode.UNAUTHENTICATED.value, sentence)
    asked = request.endpoint in auth.PUBLIC and request.method == "GET"
    return make_response(render_template("elsewhere.html"), 200 if asked else 401)


def http_error(error: HTTPException) -> Response:
    """Answer an error from Flask or Werkzeug."""
    status = error.code or 500
    if status < 400 and error.response is not None:  # a redirect
        return make_response(error.get_response())
    sentences = {
        404: "Page not found.",
        405: "This address does not accept that request method.",
        413: "The request is too large.",
    }
    sentence = sentences.get(status, error.description or error.name)
    response = _answer(status, error.name.lower().replace(" ", "_"), sentence)
    for name, value in error.get_headers():  # such as Allow
        if name != "Content-Type":
            response.headers[name] = value
    return response


def unexpected(error: Exception) -> Response:
    """Answer a bug: the log has the traceback, the page a sentence."""
    _log.error("%s %s failed", request.method, request.path, exc_info=error)
    sentence = "The dashboard ran into an error; the log of hive-web has the details."
    return _answer(500, ErrorCode.INTERNAL.value, sentence)


def wants_json() -> bool:
    """Return whether the client is a program, which gets problem+json."""
    return (
        "Upgrade" in request.headers
        or _API.match(request.path) is not None
        or request.accept_mimetypes.best == "application/json"
    )


def _not_logged_in(error: HiveError) -> Response:
    if wants_json():
        response = _problem(401, error.code.value, error.message)
    elif request.path.startswith("/fragments/"):
        response = make_response(error.message, 401)
    else:
        page = render_template("login.html", code=None, problem=None, here=_here())
        response = make_response(page, 401)
    return response  # the cookie stays: a login may have replaced it meanwhile


def _here() -> str | None:
    """Return the address of this page, for a link to use after a login.

    The cookie is not sent with a link from another site, but with our own link.
    """
    if request.method != "GET":
        return None
    # One slash only: a browser interprets text after two as another site's name.
    return "/" + request.full_path.rstrip("?").lstrip("/\\")


def _answer(status: int, code: str, sentence: str) -> Response:
    if wants_json():
        response = _problem(status, code, sentence)
    else:
        title, rest = _titled(status, code, sentence)
        retry = request.method == "GET" and code == ErrorCode.UNAVAILABLE.value
        response = make_response(
            render_template(
                "error.html",
                title=title,
                sentence=rest,
                retry=retry,
                code=code,
                typed=_typed(),
                status=_frame(code),
            ),
            status,
        )
    if status in _RETRY_AFTER:
        response.headers["Retry-After"] = "2"
    return response


def _frame(code: str) -> HiveStatus | None:
    """Return the data of the banner, which an error page has too if hived answers."""
    if g.get("session") is None or code in _NO_FRAME:
        return None
    with contextlib.suppress(HiveError):
        return hive().call(STATUS, NoParams())
    return None


def _typed() -> bool:
    """Return whether the form had text that nobody would want to type again."""
    with contextlib.suppress(HTTPException):  # the form is too large
        return any(request.form.get(name) for name in ("body", "text", "reason"))
    return False


def _titled(status: int, code: str, sentence: str) -> tuple[str, str]:
    """Return the title of a page, which is the cause, and the rest of the text."""
    if code in _TITLES:
        return _TITLES[code], sentence
    found = _CAUSE.fullmatch(sentence)
    if found is None:
        return HTTPStatus(status).phrase, sentence
    return found.group(1), found.group(2) or ""


def _problem(status: int, code: str, sentence: str) -> Response:
    body = problem.body(status, code, sentence)
    return Response(body, status, content_type=problem.CONTENT_TYPE)
