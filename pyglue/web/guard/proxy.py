"""The client's address and scheme: WSGI middleware.

``app`` wraps the app in it. ``listener`` reports the client; gunicorn itself only sees
a Unix socket. With a reverse proxy in between, only peers named in the configuration
may name their client by ``X-Forwarded-For`` and ``X-Forwarded-Proto``; from anyone
else, these headers are dropped. ``X-Forwarded-Host`` is never trusted: a proxy passes
on the Host that the browser sent, and that is checked.
"""

import ipaddress
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from werkzeug.middleware.proxy_fix import ProxyFix

from pyglue.errors import ErrorCode, HiveError
from pyglue.web.guard.request_head import PEER

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_CALLER: Final = "HTTP_" + PEER.upper().replace("-", "_")
_HEADERS: Final = (
    "HTTP_FORWARDED",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PREFIX",
    "HTTP_X_FORWARDED_PROTO",
)


class TrustedProxies:
    """Trusts a proxy's headers for one step, if it is one of ours."""

    def __init__(
        self, app: "WSGIApplication", proxies: Iterable[str], *, https: bool = False
    ) -> None:
        """Set the addresses of proxies, and whether ``listener`` uses TLS.

        Raises:
            HiveError: ``config_invalid`` for an invalid address.
        """
        self._app = app
        self._proxied = ProxyFix(app, x_for=1, x_proto=1, x_host=0)
        self._https = https
        self._proxies = frozenset(map(_configured, proxies))

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer a request."""
        caller = environ.pop(_CALLER, "")
        if not environ.get("REMOTE_ADDR"):
            environ["REMOTE_ADDR"] = caller
        if self._https:
            environ["wsgi.url_scheme"] = "https"
        if _peer(environ.get("REMOTE_ADDR", "")) in self._proxies:
            return self._proxied(environ, start_response)
        for header in _HEADERS:
            environ.pop(header, None)
        return self._app(environ, start_response)


def _configured(text: str) -> _Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError as error:
        raise HiveError(
            ErrorCode.CONFIG_INVALID,
            f"Invalid web.trusted_proxies: {text[:60]!a} is not an IP address.",
        ) from error


def _peer(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)  # the socket is for both families
    return mapped or address
