"""A subscribed browser, and a push service on loopback that accepts everything.

``Device`` decrypts as RFC 8291 says a browser does, with no code of the hive.
"""

import asyncio
import base64
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from checks.kits.patience import PATIENCE_S
from pyglue.api.push import PushSubscribeParams


def b64(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """Return what it stands for."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _hmac(key: bytes, *parts: bytes) -> bytes:
    made = hmac.HMAC(key, hashes.SHA256())
    made.update(b"".join(parts))
    return made.finalize()


class Device:
    """A browser's keys; ``number`` is its private one, else a new one."""

    def __init__(self, number: bytes | None = None, auth: bytes = bytes(16)) -> None:
        curve = ec.SECP256R1()
        self.auth = auth
        self._key = (
            ec.generate_private_key(curve)
            if number is None
            else ec.derive_private_key(int.from_bytes(number, "big"), curve)
        )

    @property
    def point(self) -> bytes:
        """The public point."""
        form = PublicFormat.UncompressedPoint
        return self._key.public_key().public_bytes(Encoding.X962, form)

    def subscription(self, endpoint: str, **more: Any) -> PushSubscribeParams:
        """Return what the dashboard says to hived."""
        fields = {
            "endpoint": endpoint,
            "p256dh": b64(self.point),
            "auth": b64(self.auth),
            "browser": "Firefox on Linux",
        }
        return PushSubscribeParams(**{**fields, **more})

    def opened(self, body: bytes) -> bytes:
        """Decrypt a request's body (RFC 8188, RFC 8291)."""
        salt, size, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        theirs, sealed = body[21 : 21 + length], body[21 + length :]
        assert len(body) <= 4096 and len(sealed) <= size
        sender = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), theirs)
        shared = self._key.exchange(ec.ECDH(), sender)
        extracted = _hmac(self.auth, shared)
        secret = _hmac(extracted, b"WebPush: info\0", self.point, theirs, b"\1")
        extracted = _hmac(salt, secret)
        key = _hmac(extracted, b"Content-Encoding: aes128gcm\0\1")[:16]
        nonce = _hmac(extracted, b"Content-Encoding: nonce\0\1")[:12]
        padded = AESGCM(key).decrypt(nonce, sealed, None).rstrip(b"\0")
        assert padded.endswith(b"\2"), "the last record"
        return padded[:-1]

    def note(self, body: bytes) -> dict[str, str]:
        """Return the notification."""
        found: dict[str, str] = json.loads(self.opened(body))
        return found


def claims(authorization: str) -> tuple[dict[str, Any], str]:
    """Check the signature of a request (RFC 8292); return its claims and its key."""
    scheme, _, rest = authorization.partition(" ")
    fields = dict(one.strip().split("=", 1) for one in rest.split(","))
    head, said, signature = fields["t"].split(".")
    assert scheme == "vapid"
    assert json.loads(unb64(head)) == {"typ": "JWT", "alg": "ES256"}
    raw = unb64(signature)
    der = encode_dss_signature(*(int.from_bytes(raw[n : n + 32]) for n in (0, 32)))
    key = ec.EllipticCurvePublicKey.from_encoded_point(
        ec.SECP256R1(), unb64(fields["k"])
    )
    key.verify(der, f"{head}.{said}".encode(), ec.ECDSA(hashes.SHA256()))
    return json.loads(unb64(said)), fields["k"]


@dataclass
class Got:
    """A request."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class PushService:
    """Keeps requests, and answers with ``status`` and ``headers``."""

    got: list[Got] = field(default_factory=list)
    status: int = 201
    headers: tuple[str, ...] = ()
    port: int = 0
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def origin(self) -> str:
        """Its address; the certificate is for this name."""
        return f"https://localhost:{self.port}"

    @property
    def host(self) -> str:
        """What the operator allows."""
        return f"localhost:{self.port}"

    async def until(self, count: int) -> list[Got]:
        """Return the requests when there are so many."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.got) < count:
                self._came.clear()
                await self._came.wait()
        return self.got

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer one request."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in lines)
            }
            body = await reader.readexactly(int(headers["content-length"]))
            self.got.append(Got(first.split()[1], headers, body))
            more = "".join(f"{line}\r\n" for line in self.headers)
            answer = f"HTTP/1.1 {self.status} X\r\ncontent-length: 0\r\n{more}\r\n"
            writer.write(answer.encode())
            await writer.drain()
            self._came.set()
        writer.close()


@contextlib.asynccontextmanager
async def push_service(tls: tuple[Path, Path]) -> AsyncIterator[PushService]:
    """Serve on a port of loopback, with a certificate and its key."""
    made = PushService()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*tls)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=context)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
