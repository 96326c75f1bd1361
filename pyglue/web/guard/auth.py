"""Access control: Host, Origin, session and CSRF, checked before any view runs.

``guard`` runs before every request, including static files and WebSockets. Only the
dashboard's own address (``origins``) has sessions; a name shared with other programs
gets a page that explains how to log in, and its cookies are ignored. A cookie contains
hived's session token; hived decides on every connection whether it is valid. Keys for
CSRF tokens and flash messages are derived by HMAC from the session token *and the
origin*: nothing is kept here, they survive a restart and end with the session, and the
cookie alone is not enough to make them.

``Referrer-Policy`` is ``same-origin``, not ``no-referrer``: with the latter, browsers
send ``Origin: null`` with our own forms, and the Origin check would have to accept
``null``.
"""

import base64
import hashlib
import hmac
import re
from typing import Final
from urllib.parse import urlsplit

from flask import Request, Response, g, request
from werkzeug.exceptions import MethodNotAllowed, UnsupportedMediaType
from werkzeug.wrappers import Response as AnyResponse

from pyglue import origin
from pyglue.config import WebConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.web.guard.origins import Place
from pyglue.web.guard.texts import check_text
from pyglue.web.rpc import web

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_TOKEN: Final = re.compile(r"[A-Za-z0-9_.=+/-]{16,256}")
_FLASH_LIMIT: Final = 1200

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
    return _mac(session, f"csrf {ours}".encode())


def _mac(session: str, purpose: bytes) -> str:
    return hmac.new(session.encode(), purpose, hashlib.sha256).hexdigest()


# --- the cookie ---------------------------------------------------------------


def is_https(config: WebConfig) -> bool:
    """Tell whether browsers reach us over https."""
    return urlsplit(origin.configured(config) or "").scheme == "https"


def cookie_name(config: WebConfig) -> str:
    """Return the name of the session cookie, with our port, which cookies ignore."""
    return f"{_prefix(config)}hive_{config.port}"


def _flash_name(config: WebConfig) -> str:
    return f"{_prefix(config)}hive_flash_{config.port}"


def _prefix(config: WebConfig) -> str:
    return "__Host-" if is_https(config) else ""


def session_of(asked: Request, config: WebConfig) -> str | None:
    """Return the token in the cookie if it looks like one."""
    token = asked.cookies.get(cookie_name(config), "")
    return token if _TOKEN.fullmatch(token) else None


def set_session(response: Response, token: str, expires_at: float) -> None:
    """Set the cookie to hived's token until it expires."""
    config = web().config
    response.set_cookie(
        cookie_name(config),
        token,
        expires=int(expires_at),
        httponly=True,
        samesite="Strict",
        secure=is_https(config),
        path="/",
    )


def drop_session(response: Response) -> None:
    """Delete the cookie."""
    config = web().config
    response.delete_cookie(
        cookie_name(config),
        httponly=True,
        samesite="Strict",
        secure=is_https(config),
        path="/",
    )


# --- one message for the next page ------------------------------------------------


def set_flash(response: Response, text: str) -> None:
    """Show ``text`` on the next page, through a signed cookie of half a minute."""
    body = base64.urlsafe_b64encode(text[:_FLASH_LIMIT].encode()).decode()
    response.set_cookie(
        _flash_name(web().config),
        f"{body}.{_flash_mac(body)}",
        max_age=30,
        httponly=True,
        samesite="Strict",
        secure=is_https(web().config),
        path="/",
    )


def take_flash() -> str | None:
    """Return the message for this page; ``after`` removes the cookie."""
    sent = request.cookies.get(_flash_name(web().config), "")
    body, _, mac = sent.partition(".")
    if not g.get("session") or not body or not mac.isascii():
        return None
    if not hmac.compare_digest(mac, _flash_mac(body)):
        return None
    g.flash_taken = True
    return base64.urlsafe_b64decode(body).decode(errors="replace")


def _flash_mac(body: str) -> str:
    return _mac(g.session, f"flash {g.origin} {body}".encode())


# --- how this browser wants pages shown ---------------------------------------------


def display_name() -> str:
    """Return the name of the cookie in which ``pages.display`` keeps its settings."""
    return f"{_prefix(web().config)}hive_display_{web().config.port}"


def set_display(response: AnyResponse, choice: str, seconds: int) -> None:
    """Keep a setting in the browser; logging out does not remove it."""
    response.set_cookie(
        display_name(),
        choice,
        max_age=seconds,
        httponly=True,
        samesite="Strict",
        secure=is_https(web().config),
        path="/",
    )


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
            _flash_name(web().config), secure=is_https(web().config), path="/"
        )
    return response
