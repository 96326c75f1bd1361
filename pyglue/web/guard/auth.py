"""Access control: Host, Origin, session and CSRF, checked before any view runs.

``guard`` runs before every request, static files and WebSockets included. Only the
dashboard's own address (``origins``) has sessions; a name that other programs share
gets a page that says how to log in, and no cookie of it is looked at. A cookie
carries hived's session token; hived itself decides with every connection whether
it lives. Keys for CSRF tokens and flash messages are derived by HMAC from the session
token *and the origin*: nothing is kept here, they survive a restart and end with the
session, and who has seen the cookie alone cannot make them.

``Referrer-Policy`` is ``same-origin``, not ``no-referrer``: under the latter,
browsers send ``Origin: null`` with our own forms, and the Origin check would have to
let ``null`` pass.
"""

import base64
import hashlib
import hmac
import re
from typing import Final
from urllib.parse import urlsplit

from flask import Request, Response, g, request

from pyglue import origin
from pyglue.config import WebConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.web.guard.origins import Place
from pyglue.web.guard.texts import check_text
from pyglue.web.rpc import web

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_TOKEN: Final = re.compile(r"[A-Za-z0-9_.=+/-]{16,256}")
_FLASH_LIMIT: Final = 1200

PUBLIC: Final = frozenset({"static", "login.page", "login.submit", "metrics.metrics"})
"""Endpoints that need no session; the metrics ask for a token of their own."""
_ANYWHERE: Final = frozenset({"static", "metrics.metrics"})
"""Those that also answer to loopback's own names: they know no cookie."""
_SIGNED: Final = "hooks.deliver"
"""The endpoint whose requests prove by a signature of their own who sent them."""
_OUTSIDE: Final = frozenset({"cross-site", "same-site"})


class ElsewhereError(Exception):
    """Somebody came by a name of loopback that every program here shares."""


def guard() -> None:
    """Refuse what does not come from the operator's own browser.

    Raises:
        ElsewhereError: the page that says how to log in is all there is.
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
    if unsafe:
        check_csrf(request, g.session, g.origin)


def check_host(asked: Request) -> str:
    """Return the origin of ours that was asked; another site's name may point here.

    Raises:
        ElsewhereError: it is a name of loopback that every port of this machine shares.
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
    """Refuse a request that another site's page, or no page of ours, sent."""
    if asked.headers.get("Origin", "") != ours:
        raise HiveError(
            ErrorCode.FORBIDDEN,
            "The request did not come from a page of this dashboard, so nothing was "
            "done. Open the dashboard and try again there.",
        )


def check_fetch(asked: Request) -> None:
    """Refuse what another site's page loads from here, whatever cookie came along.

    Browsers say so themselves. A link that leads here is fine, in a tab of its own.
    """
    sent = asked.headers
    leads = sent.get("Sec-Fetch-Mode") == "navigate" and asked.method == "GET"
    tab = sent.get("Sec-Fetch-Dest", "document") == "document"
    if sent.get("Sec-Fetch-Site") in _OUTSIDE and not (leads and tab):
        raise HiveError(ErrorCode.FORBIDDEN, "Pages of other sites may only link here.")
    if "Service-Worker" in sent:
        raise HiveError(ErrorCode.FORBIDDEN, "This dashboard has no service worker.")


def check_csrf(asked: Request, session: str, ours: str) -> None:
    """Refuse a form without the token that our pages put into their forms."""
    given = asked.headers.get("X-CSRF-Token") or asked.form.get("csrf", "")
    if not hmac.compare_digest(given.encode(), csrf_token(session, ours).encode()):
        raise HiveError(
            ErrorCode.FORBIDDEN,
            "The form does not belong to this session, so nothing was done. Go back, "
            "reload the page and submit it again.",
        )


def csrf_token(session: str, ours: str) -> str:
    """Return the token that this session's forms carry at this origin."""
    return _mac(session, f"csrf {ours}".encode())


def _mac(session: str, purpose: bytes) -> str:
    return hmac.new(session.encode(), purpose, hashlib.sha256).hexdigest()


# --- the cookie ---------------------------------------------------------------


def is_https(config: WebConfig) -> bool:
    """Tell whether browsers reach us by https."""
    return urlsplit(origin.configured(config) or "").scheme == "https"


def cookie_name(config: WebConfig) -> str:
    """Return the session's cookie's name; cookies ignore ports, so it holds ours."""
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
    """Put hived's token into the cookie until it ends."""
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
    """Take the cookie away."""
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
    """Show ``text`` on the next page: a signed cookie that lives half a minute."""
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


# --- what every answer carries ------------------------------------------------------

CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; worker-src 'none'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
"""Of every answer; the terminal's page adds a nonce to it."""

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
