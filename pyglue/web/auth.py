"""Who may ask: Host, Origin, session and CSRF, checked before any view runs.

``guard`` runs before every request, static files and WebSockets included. A cookie
carries hived's session token; hived itself decides with every connection whether
it lives. Keys for CSRF tokens and flash messages are derived from the session token
by HMAC: nothing is kept here, and they survive a restart and end with the session.

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
from werkzeug.sansio.utils import host_is_trusted

from pyglue.config import WebConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.web.rpc import web

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_TOKEN: Final = re.compile(r"[A-Za-z0-9_.=+/-]{16,256}")
_FLASH_COOKIE: Final = "hive_flash"
_FLASH_LIMIT: Final = 1200

PUBLIC: Final = frozenset({"static", "login.page", "login.submit", "metrics.metrics"})
"""Endpoints that need no session; the metrics ask for a token of their own."""


def guard() -> None:
    """Refuse what does not come from the operator's own browser.

    Raises:
        HiveError: ``bad_request`` (Host), ``forbidden`` (Origin, CSRF) or
            ``unauthenticated``.
    """
    check_host(request, web().config)
    unsafe = request.method not in SAFE_METHODS
    if unsafe:
        check_origin(request, web().config)
    g.session = session_of(request, web().config)
    if request.endpoint in PUBLIC:
        return
    if g.session is None:
        raise HiveError(ErrorCode.UNAUTHENTICATED, "You are not logged in.")
    if unsafe:
        check_csrf(request, g.session)


def check_host(asked: Request, config: WebConfig) -> None:
    """Refuse a Host name that is not ours: another site's name may point here."""
    ours = [*config.trusted_hosts, urlsplit(config.external_url).hostname or ""]
    if not host_is_trusted(asked.headers.get("Host"), ours):
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            "This dashboard does not answer to that host name. Use the address that "
            "`hive login` prints, or add the name to `web.trusted_hosts`.",
        )


def check_origin(asked: Request, config: WebConfig) -> None:
    """Refuse a request that another site's page, or no page of ours, sent."""
    origin = asked.headers.get("Origin", "")
    external = urlsplit(config.external_url)
    ours = {
        f"{asked.scheme}://{asked.headers.get('Host', '')}",
        f"{external.scheme}://{external.netloc}",
    }
    if origin not in ours:
        raise HiveError(
            ErrorCode.FORBIDDEN,
            "The request did not come from a page of this dashboard, so nothing was "
            "done. Open the dashboard and try again there.",
        )


def check_csrf(asked: Request, session: str) -> None:
    """Refuse a form without the token that our pages put into their forms."""
    given = asked.headers.get("X-CSRF-Token") or asked.form.get("csrf", "")
    if not hmac.compare_digest(given.encode(), csrf_token(session).encode()):
        raise HiveError(
            ErrorCode.FORBIDDEN,
            "The form was not made by this session, so nothing was done. Go back, "
            "reload the page and send it again.",
        )


def csrf_token(session: str) -> str:
    """Return the token that this session's forms carry."""
    return _mac(session, b"csrf")


def _mac(session: str, purpose: bytes) -> str:
    return hmac.new(session.encode(), purpose, hashlib.sha256).hexdigest()


# --- the cookie ---------------------------------------------------------------


def is_https(config: WebConfig) -> bool:
    """Tell whether browsers reach us by https."""
    return urlsplit(config.external_url).scheme == "https"


def cookie_name(config: WebConfig) -> str:
    """Return the cookie's name; cookies ignore ports, so it holds ours."""
    prefix = "__Host-" if is_https(config) else ""
    return f"{prefix}hive_{config.port}"


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
        _FLASH_COOKIE,
        f"{body}.{_mac(g.session, b'flash' + body.encode())}",
        max_age=30,
        httponly=True,
        samesite="Strict",
        secure=is_https(web().config),
    )


def take_flash() -> str | None:
    """Return the message for this page; ``after`` removes the cookie."""
    body, _, mac = request.cookies.get(_FLASH_COOKIE, "").partition(".")
    if not g.get("session") or not body or not mac.isascii():
        return None
    if not hmac.compare_digest(mac, _mac(g.session, b"flash" + body.encode())):
        return None
    g.flash_taken = True
    return base64.urlsafe_b64decode(body).decode(errors="replace")


# --- what every answer carries ------------------------------------------------------

CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
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
        response.delete_cookie(_FLASH_COOKIE)
    return response
