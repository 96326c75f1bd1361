"""Makes the agent's programs trust hive-egress where it inserts secrets.

hived places the certificate of hive-egress's authority in ``/run/hive``, a new one each
time hive-egress starts. Programs that read a single file get a bundle of the system's
certificates and this one. It is rewritten after a change: hived places the certificate
before hive-egress serves anyone, and the bundle is checked before a program gets
hive-egress's first answer.
"""

import logging
from pathlib import Path
from typing import Final

from pyglue.files.replace import replace_file

CA_FILES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/certs/ca-bundle.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
)
_BUNDLED: Final = (
    *("SSL_CERT_FILE", "NIX_SSL_CERT_FILE", "GIT_SSL_CAINFO", "CURL_CA_BUNDLE"),
    *("REQUESTS_CA_BUNDLE", "PIP_CERT", "CARGO_HTTP_CAINFO", "AWS_CA_BUNDLE"),
    "npm_config_cafile",
)
_ADDED: Final = ("NODE_EXTRA_CA_CERTS",)

_log = logging.getLogger(__name__)


def system_bundle() -> Path | None:
    """Return the file with the certificates that this system trusts."""
    return next((file for file in map(Path, CA_FILES) if file.is_file()), None)


class Trust:
    """Keeps the bundle up to date."""

    def __init__(self, authority: Path, bundle: Path) -> None:
        """``authority`` is the certificate, which may appear and be replaced later."""
        self._authority = authority
        self._bundle = bundle
        self._written: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make programs use both."""
        found = dict.fromkeys(_BUNDLED, str(self._bundle))
        return found | dict.fromkeys(_ADDED, str(self._authority))

    def refresh(self) -> None:
        """Write the bundle if the certificate has changed."""
        try:
            ours = self._authority.read_text()
        except OSError:
            ours = ""
        if ours == self._written:
            return
        system = system_bundle()
        theirs = "" if system is None else system.read_text()
        try:
            replace_file(self._bundle, f"{theirs.rstrip()}\n{ours}".encode())
        except OSError as error:
            _log.warning("cannot write %s: %s", self._bundle, error.strerror)
            return
        self._written = ours
