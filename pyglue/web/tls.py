"""The dashboard's own certificate, tried before the server starts.

``main`` calls ``check``: gunicorn would only say in its worker that a file is wrong,
and start it again for ever. ``app`` puts ``PatientSockets`` around a dashboard that
speaks TLS: a live stream reads and writes in two threads, and a read that waits inside
OpenSSL would hold every write up. With a time limit Python waits outside.
"""

import ssl
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from pyglue import origin
from pyglue.config import WebConfig
from pyglue.errors import ErrorCode, HiveError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_WAIT_S: Final = 14 * 86400.0
"""Longer than any session lives, so that it never ends a stream."""


class PatientSockets:
    """Gives a connection under TLS a time limit that is never reached."""

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer a request."""
        sock = environ.get("gunicorn.socket")
        if isinstance(sock, ssl.SSLSocket):
            sock.settimeout(_WAIT_S)
        return self._app(environ, start_response)


def check(web: WebConfig) -> None:
    """See that certificate and key are there and belong together.

    Raises:
        HiveError: ``config_invalid`` with what is wrong.
    """
    if web.tls_cert is None and web.tls_key is None:
        return
    if web.tls_cert is None or web.tls_key is None:
        raise _invalid("web.tls_cert and web.tls_key must both be set, or neither.")
    if not (origin.configured(web) or "").startswith("https://"):
        raise _invalid(
            "web.external_url must begin with https:// when TLS is on, and name "
            "another host than loopback: browsers give its cookies to every port."
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files = f"The certificate {web.tls_cert} and the key {web.tls_key}"
    try:
        # An encrypted key would ask on the terminal for its password.
        context.load_cert_chain(web.tls_cert, web.tls_key, password=lambda: b"")
    except ssl.SSLError as error:
        reason = error.reason or "no certificate or key in PEM"
        raise _invalid(f"{files} cannot be used: {reason.lower()}.") from error
    except OSError as error:
        raise _invalid(f"{files} cannot be read: {error.strerror}.") from error


def settings(web: WebConfig) -> dict[str, str]:
    """Return gunicorn's settings for it; none without TLS."""
    if web.tls_cert is None or web.tls_key is None:
        return {}
    return {"certfile": web.tls_cert, "keyfile": web.tls_key}


def _invalid(text: str) -> HiveError:
    return HiveError(ErrorCode.CONFIG_INVALID, text)
