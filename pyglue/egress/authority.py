"""The hive's own certificates for hosts whose requests carry secrets.

They are generated at each start of hive-egress. The keys are never written to disk:
OpenSSL reads them from memory files. Only agents that need it are configured to trust
the authority's certificate, which can only sign server certificates.
"""

import os
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CONTEXTS_MAX: Final = 256
_FRESH: Final = timedelta(hours=12)
_LIVES: Final = timedelta(days=7)
_AUTHORITY_LIVES: Final = timedelta(days=3650)
_SLACK: Final = timedelta(days=1)
"""Certificates are backdated, so that they stay valid if the clock is set back."""


class Shake(ssl.SSLObject):
    """One handshake; ``asked`` is the requested server name, if it is a wrong one."""

    asked: str | None = None


class Authority:
    """Signs a certificate for each host, and creates the TLS server context for it."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("hyperhive, for one start of hive-egress")
        self._certificate = self._signed(
            self._name,
            self._key.public_key(),
            _AUTHORITY_LIVES,
            (x509.BasicConstraints(ca=True, path_length=0), True),
            (_usage(signs=True), True),
        )
        self._contexts: dict[str, tuple[datetime, ssl.SSLContext]] = {}

    @property
    def pem(self) -> str:
        """The authority's certificate, which agents' programs must trust."""
        return self._certificate.public_bytes(Encoding.PEM).decode()

    def context(self, host: str) -> ssl.SSLContext:
        """Return the TLS server context for one host name."""
        now = datetime.now(UTC)
        made, context = self._contexts.pop(host, (now - _LIVES, None))
        if context is None or not timedelta(0) <= now - made < _FRESH:
            made, context = now, self._made(host)
        self._contexts[host] = (made, context)
        if len(self._contexts) > _CONTEXTS_MAX:
            del self._contexts[next(iter(self._contexts))]
        return context

    def _made(self, host: str) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(
            _named("hyperhive"),
            key.public_key(),
            _LIVES,
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_usage(signs=False), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
            (x509.SubjectAlternativeName([x509.DNSName(host)]), False),
        )
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
        context.num_tickets = 0
        context.set_alpn_protocols(["http/1.1"])
        context.sslobject_class = Shake
        context.sni_callback = _only(host)
        _load(context, certificate.public_bytes(Encoding.PEM) + secret)
        return context

    def _signed(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        lives: timedelta,
        *extensions: tuple[x509.ExtensionType, bool],
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        ours = self._key.public_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _SLACK)
            .not_valid_after(now + lives)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(ours), False
            )
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self._key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _only(host: str) -> Callable[[ssl.SSLObject, str, ssl.SSLContext], int | None]:
    def seen(shake: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        if name is None or name.lower().removesuffix(".") == host:
            return None
        if isinstance(shake, Shake):
            shake.asked = name
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    return seen


def _load(context: ssl.SSLContext, pem: bytes) -> None:
    """Load a certificate and its key, which the ssl module only reads from files."""
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
