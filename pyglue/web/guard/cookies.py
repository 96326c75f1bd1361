"""The dashboard's cookies: the session, a message for the next page, display settings.

Their names contain the port, which cookies ignore.
"""

import base64
import hashlib
import hmac
import re
from typing import Final
from urllib.parse import urlsplit

from flask import Request, Response, g, request
from werkzeug.wrappers import Response as AnyResponse

from pyglue.config import WebConfig, origin
from pyglue.web.rpc import web

_TOKEN: Final = re.compile(r"[A-Za-z0-9_.=+/-]{16,256}")
_FLASH_LIMIT: Final = 1200


def mac(session: str, purpose: bytes) -> str:
    """Return what only somebody with the session's token can make, for one purpose."""
    return hmac.new(session.encode(), purpose, hashlib.sha256).hexdigest()


def is_https(config: WebConfig) -> bool:
    """Return whether browsers reach us over https."""
    return urlsplit(origin.configured(config) or "").scheme == "https"


def cookie_name(config: WebConfig) -> str:
    """Return the name of the session cookie, with our port, which cookies ignore."""
    return f"{_prefix(config)}hive_{config.port}"


def flash_name(config: WebConfig) -> str:
    """Return the name of the cookie with the message for the next page."""
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


def set_flash(response: Response, text: str) -> None:
    """Show ``text`` on the next page, through a signed cookie of half a minute."""
    body = base64.urlsafe_b64encode(text[:_FLASH_LIMIT].encode()).decode()
    response.set_cookie(
        flash_name(web().config),
        f"{body}.{_flash_mac(body)}",
        max_age=30,
        httponly=True,
        samesite="Strict",
        secure=is_https(web().config),
        path="/",
    )


def take_flash() -> str | None:
    """Return the message for this page; ``after`` removes the cookie."""
    sent = request.cookies.get(flash_name(web().config), "")
    body, _, mac = sent.partition(".")
    if not g.get("session") or not body or not mac.isascii():
        return None
    if not hmac.compare_digest(mac, _flash_mac(body)):
        return None
    g.flash_taken = True
    return base64.urlsafe_b64decode(body).decode(errors="replace")


def _flash_mac(body: str) -> str:
    return mac(g.session, f"flash {g.origin} {body}".encode())


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
