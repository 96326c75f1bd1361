"""Encrypts notifications for a browser (RFC 8291) and signs requests (RFC 8292).

The only module of hived with cryptography, which a hive without Web Push does not load
(7 MiB). One record (RFC 8188) contains a whole notification. docs/decisions/0036
explains why no library is used.
"""

import base64
import os
from dataclasses import dataclass
from typing import Final

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pyglue.errors import ErrorCode, HiveError

TEXT_MAX: Final = 3072
"""Most bytes of a notification; a push service accepts 4096 after encryption."""
AUTH_BYTES: Final = 16
_POINT_BYTES: Final = 65
_RECORD: Final = 4096
_STEP: Final = 256
"""Notifications are padded to a multiple of this, so that the length reveals little."""
_VALID_S: Final = 12 * 3600
_CURVE: Final = ec.SECP256R1()
_NUMBER_BYTES: Final = 32


def encoded(data: bytes) -> str:
    """Return base64url without padding, as browsers and JWT have it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text: str, what: str) -> bytes:
    """Decode base64url, with or without padding.

    Raises:
        HiveError: ``bad_request``.
    """
    try:
        data = text.rstrip("=").encode("ascii")
        return base64.b64decode(data + b"=" * (-len(data) % 4), b"-_", validate=True)
    except ValueError:
        raise _invalid(what) from None


@dataclass(frozen=True)
class Receiver:
    """The keys of a browser's subscription: its public point and its secret."""

    point: bytes
    auth: bytes

    @classmethod
    def read(cls, p256dh: str, auth: str) -> "Receiver":
        """Read what the browser said.

        Raises:
            HiveError: ``bad_request``.
        """
        made = cls(decoded(p256dh, "p256dh"), decoded(auth, "auth"))
        if len(made.point) != _POINT_BYTES:
            raise _invalid("p256dh")
        try:
            _public(made.point)
        except ValueError:
            raise _invalid("p256dh") from None
        if len(made.auth) != AUTH_BYTES:
            raise _invalid("auth")
        return made


class Sealer:
    """The hive's key as a sender."""

    def __init__(self, number: bytes | None = None) -> None:
        """Take the private number of an existing key, or make a new one."""
        if number is None:
            self._key = ec.generate_private_key(_CURVE)
        else:
            self._key = ec.derive_private_key(int.from_bytes(number, "big"), _CURVE)

    @property
    def number(self) -> bytes:
        """Return the private number, to be kept."""
        value = self._key.private_numbers().private_value
        return value.to_bytes(_NUMBER_BYTES, "big")

    @property
    def public(self) -> str:
        """Return the public key as browsers want it (``applicationServerKey``)."""
        return encoded(_point(self._key))

    def authorization(self, origin: str, contact: str | None, now: float) -> str:
        """Return the header that identifies the sender to a push service.

        Args:
            origin: The push service's.
            contact: How its operators can reach ours; None: not included.
            now: In seconds since the epoch; the header is valid for half a day.
        """
        claims: dict[str, object] = {"aud": origin, "exp": int(now) + _VALID_S}
        if contact is not None:
            claims["sub"] = contact
        head = encoded(msgspec.json.encode({"typ": "JWT", "alg": "ES256"}))
        signed = f"{head}.{encoded(msgspec.json.encode(claims))}"
        der = self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256()))
        pair = decode_dss_signature(der)
        raw = b"".join(one.to_bytes(_NUMBER_BYTES, "big") for one in pair)
        return f"vapid t={signed}.{encoded(raw)}, k={self.public}"


def seal(text: bytes, receiver: Receiver) -> bytes:
    """Encrypt a notification so that only its browser can read it.

    Raises:
        HiveError: ``too_large``.
    """
    if len(text) > TEXT_MAX:
        raise HiveError(ErrorCode.TOO_LARGE, "The notification is too long to push.")
    padded = -(len(text) + 1) % _STEP
    key = ec.generate_private_key(_CURVE)
    return encrypt(text, receiver, key=key, salt=os.urandom(16), padding=padded)


def encrypt(
    text: bytes,
    receiver: Receiver,
    *,
    key: ec.EllipticCurvePrivateKey,
    salt: bytes,
    padding: int = 0,
) -> bytes:
    """Return the body of a request, ``aes128gcm``; ``key`` and ``salt`` only once."""
    ours = _point(key)
    shared = key.exchange(ec.ECDH(), _public(receiver.point))
    info = b"WebPush: info\0" + receiver.point + ours
    secret = _derived(shared, receiver.auth, info, 32)
    content_key = _derived(secret, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derived(secret, salt, b"Content-Encoding: nonce\0", 12)
    last = text + b"\2" + bytes(padding)
    sealed = AESGCM(content_key).encrypt(nonce, last, None)
    head = salt + _RECORD.to_bytes(4, "big") + len(ours).to_bytes(1, "big") + ours
    return head + sealed


def _derived(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    kdf = HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info)
    return kdf.derive(secret)


def _public(point: bytes) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, point)


def _point(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = PublicFormat.UncompressedPoint
    return key.public_key().public_bytes(Encoding.X962, form)


def _invalid(what: str) -> HiveError:
    return HiveError(
        ErrorCode.BAD_REQUEST,
        f"Invalid {what} in the push subscription: subscribe again.",
    )
