"""Access control: Host, Origin, session and CSRF, checked before any view runs.

``guard`` runs before every request, including static files and WebSockets. Only the
dashboard's own address (``origins``) has sessions; a name shared with other programs
gets a page that explains how to log in, and its cookies are ignored. A cookie contains
hived's session token (``cookies``); hived decides on every connection whether it is
valid. Keys for CSRF tokens and flash messages are derived by HMAC from the session
token *and the origin*: nothing is kept here, they survive a restart and end with the
session, and the cookie alone is not enough to make them.

``Referrer-Policy`` is ``same-origin``, not ``no-referrer``: with the latter, browsers
send ``Origin: null`` with our own forms, and the Origin check would have to accept
``null``.
"""

import hmac
from typing import Final

from flask import Request, Response, g, request
from werkzeug.exceptions import MethodNotAllowed, UnsupportedMediaType

from pyglue.errors import ErrorCode, HiveError
from pyglue.web.guard.cookies import flash_name, is_https, mac, session_of
from pyglue.web.guard.origins import Place
from pyglue.web.guard.texts import check_text
from pyglue.web.rpc import web

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

WORKER: Final = "/worker.js"
"""The address of the only script that browsers may run as a service worker."""
PUBLIC: Final = frozenset(
    {
        *("static", "login.page", "login.submit", "metrics.metrics"),
        *("shell.worker", "shell.offline"),
    }
)
"""Endpoints without a session; the metrics require a token of their own."""
_ANYWHERE: Final = frozenset({"static", "metrics.metrics"})
"""Those that also answer under loopback's own names: they use no cookies."""
_SIGNED: Final = "hooks.deliver"
"""The endpoint whose requests are authenticated by a signature of their own."""
_OUTSIDE: Final = frozenset({"cross-site", "same-site"})
_FORMS: Final = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})


class ElsewhereError(Exception):
    """The request used a name of loopback that every program on this machine shares."""


def guard() -> None:
    """Refuse requests that do not come from the operator's own browser.

    Raises:
        ElsewhereError: only the page that explains how to log in is available.
        HiveError: ``bad_request`` (Host, text), ``forbidden`` (Origin, CSRF) or
            ``unauthenticated``.
    """
    g.session = None
    if request.endpoint == _SIGNED:
        return
    try:
        g.origin = check_host(request)
    except ElsewhereError:
        if request.endpoint in _ANYWHERE:
            return
        raise
    unsafe = request.method not in SAFE_METHODS
    if unsafe:
        check_origin(request, g.origin)
    check_fetch(request)
    check_text(request)
    g.session = session_of(request, web().config)
    if request.endpoint in PUBLIC:
        return
    if g.session is None:
        raise HiveError(ErrorCode.UNAUTHENTICATED, "You are not logged in.")
    if isinstance(request.routing_exception, MethodNotAllowed):
        raise request.routing_exception  # a token would not change anything
    if unsafe:
        check_form(request)
        check_csrf(request, g.session, g.origin)


def check_form(asked: Request) -> None:
    """Refuse a body that is not a form: its fields would count as missing.

    Raises:
        UnsupportedMediaType: with what to send.
    """
    if asked.content_length and asked.mimetype not in _FORMS:
        kind = asked.mimetype[:80] or "no content type"
        raise UnsupportedMediaType(
            f"The request has {kind!a}. Send the fields as a form "
            "(application/x-www-form-urlencoded)."
        )


def check_host(asked: Request) -> str:
    """Return the requested origin of ours; another site's name may point here.

    Raises:
        ElsewhereError: it is a name of loopback, shared by every port of this machine.
        HiveError: ``bad_request`` for any other name, or another port.
    """
    found = web().origins.of(asked.headers.get("Host", ""))
    if found is Place.LOOPBACK:
        raise ElsewhereError
    if isinstance(found, Place):
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            "This dashboard does not answer to that host name and port. Open the "
            "address that `hive login` prints.",
        )
    return found


def check_origin(asked: Request, ours: str) -> None:
    """Refuse a request that was not sent by one of our own pages."""
    if asked.headers.get("Origin", "") != ours:
        raise HiveError(
            ErrorCode.FORBIDDEN,
            "The request did not come from a page of this dashboard, so nothing was "
            "done. Open the dashboard and try again there.",
        )


def check_fetch(asked: Request) -> None:
    """Refuse whatever another site's page loads from here, with or without a cookie.

    Browsers report that. A link that leads here is allowed, in a tab of its own.
    """
    sent = asked.headers
    leads = sent.get("Sec-Fetch-Mode") == "navigate" and asked.method == "GET"
    tab = sent.get("Sec-Fetch-Dest", "document") == "document"
    if sent.get("Sec-Fetch-Site") in _OUTSIDE and not (leads and tab):
        raise HiveError(ErrorCode.FORBIDDEN, "Pages of other sites may only link here.")
    if "Service-Worker" in sent and asked.path != WORKER:
        raise HiveError(
            ErrorCode.FORBIDDEN, f"The only service worker here is {WORKER}."
        )


def check_csrf(asked: Request, session: str, ours: str) -> None:
    """Refuse a form without the token that our pages include."""
    given = asked.headers.get("X-CSRF-Token") or asked.form.get("csrf", "")
    if not hmac.compare_digest(given.encode(), csrf_token(session, ours).encode()):
        raise HiveError(
            ErrorCode.FORBIDDEN,
            "The form does not belong to this session, so nothing was done. Go back, "
            "reload the page and submit it again.",
        )


def csrf_token(session: str, ours: str) -> str:
    """Return the token of this session's forms at this origin."""
    return mac(session, f"csrf {ours}".encode())


# --- the cookie ---------------------------------------------------------------


# --- one message for the next page ------------------------------------------------


# --- how this browser wants pages shown ---------------------------------------------


# --- headers of every answer --------------------------------------------------------

CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; "
    "connect-src 'self'; worker-src 'self'; manifest-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
"""In every answer; the terminal's page adds a nonce."""

_HSTS: Final = "max-age=31536000"


def after(response: Response) -> Response:
    """Add the security headers; pages are never stored."""
    headers = response.headers
    headers.setdefault("Content-Security-Policy", CSP)
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Frame-Options"] = "DENY"
    headers["Referrer-Policy"] = "same-origin"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=()"
    if is_https(web().config):
        headers["Strict-Transport-Security"] = _HSTS
    if request.endpoint not in {"static", "vendor.vendor"}:
        headers["Cache-Control"] = "no-store"
    if g.get("flash_taken"):
        response.delete_cookie(
            flash_name(web().config), secure=is_https(web().config), path="/"
        )
    return response
