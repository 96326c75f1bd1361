"""The dashboard's own certificate, tried before the server starts.

``listener`` uses TLS with the context that ``load`` returns.
"""

import ssl

from pyglue.config import WebConfig, origin
from pyglue.errors import ErrorCode, HiveError


def load(web: WebConfig) -> ssl.SSLContext | None:
    """Return the TLS context; None without a certificate.

    Raises:
        HiveError: ``config_invalid`` with the problem.
    """
    if web.tls_cert is None and web.tls_key is None:
        return None
    if web.tls_cert is None or web.tls_key is None:
        raise _invalid("web.tls_cert and web.tls_key must both be set, or neither.")
    if not (origin.configured(web) or "").startswith("https://"):
        raise _invalid(
            "web.external_url must begin with https:// when TLS is on, and must not "
            "name loopback: browsers send its cookies to every port."
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files = f"The certificate {web.tls_cert} and the key {web.tls_key}"
    try:
        # For an encrypted key, OpenSSL would ask for the password on the terminal.
        context.load_cert_chain(web.tls_cert, web.tls_key, password=lambda: b"")
    except ssl.SSLError as error:
        reason = error.reason or "they are not PEM"
        raise _invalid(f"{files} cannot be used: {reason.lower()}.") from error
    except OSError as error:
        raise _invalid(f"{files} cannot be read: {error.strerror}.") from error
    return context


def _invalid(text: str) -> HiveError:
    return HiveError(ErrorCode.CONFIG_INVALID, text)
