"""An agent whose requests carry a secret, hive-egress, and the host that gets it.

``forge.test`` and ``other.test`` are the same real TLS server on loopback; its
certificate is the only one that hive-egress trusts here.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from checks.kits.egress.bench import (
    Outside,
    Site,
    connect_to,
    egressing,
    make_certificate,
    site,
)
from checks.kits.patience import PATIENCE_S
from pyglue.api.secrets import SecretSetParams

TOKEN = "ghp_the-token-of-the-operator+/="

NAMES = {"forge.test": "127.0.0.1", "other.test": "127.0.0.1"}


@dataclass
class At:
    """A host, and an agent whose requests to it carry a secret."""

    outside: Outside
    there: Site
    own: Path
    """The host's own certificate."""

    @property
    def target(self) -> str:
        """The host as it is connected to."""
        return f"forge.test:{self.there.port}"

    @property
    def authority(self) -> Path:
        """What the agent's programs are told to trust."""
        return self.outside.socket.with_name("ca.pem")

    async def use(self, **use: str) -> None:
        """Let requests to the host carry the secret, and set it."""
        uses = [{"host": self.target, **use}]
        await self.outside.allow(
            self.target, f"other.test:{self.there.port}", secrets={"TOKEN": uses}
        )
        await self.set(TOKEN)

    async def set(self, value: str) -> None:
        """Set the secret's value, as the operator does."""
        secrets = self.outside.hub.uses.secrets
        await secrets.set(SecretSetParams(name="TOKEN", value=value), "operator")

    async def ask(
        self,
        request: bytes,
        *,
        name: str | None = "forge.test",
        protocols: tuple[str, ...] = (),
    ) -> bytes:
        """Send bytes within TLS; return all that comes back."""
        return await within(
            self.outside, self.target, request, self.authority, name, protocols
        )

    def get(self, path: str = "/", more: str = "", method: str = "GET") -> bytes:
        """Return a request."""
        host = f"Host: {self.target}\r\n"
        return f"{method} {path} HTTP/1.1\r\n{host}{more}\r\n".encode()


async def within(
    outside: Outside,
    target: str,
    request: bytes,
    cafile: Path,
    name: str | None,
    protocols: tuple[str, ...] = (),
) -> bytes:
    """Send bytes within TLS through a tunnel; return all that comes back."""
    reader, writer = await outside.ask(connect_to(target))
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0]:
        writer.close()
        return head + await reader.read()
    context = ssl.create_default_context(cafile=str(cafile))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.check_hostname = name is not None
    if protocols:
        context.set_alpn_protocols(list(protocols))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    shake = context.wrap_bio(incoming, outgoing, server_hostname=name)
    found, sent = b"", False
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    if not sent:
                        shake.do_handshake()
                        assert shake.selected_alpn_protocol() in (None, "http/1.1")
                        shake.write(request)
                        sent = True
                    while data := shake.read(65536):
                        found += data
                    return found
                except ssl.SSLWantReadError:
                    writer.write(outgoing.read())
                    data = await reader.read(65536)
                    if not data:
                        return found
                    incoming.write(data)
                except ssl.SSLZeroReturnError:
                    return found
    finally:
        writer.close()


@contextlib.asynccontextmanager
async def injecting(directory: Path) -> AsyncIterator[At]:
    """Run hive-egress with hived's real side, and a host with TLS."""
    (directory / "kit").mkdir()
    pair = make_certificate(directory, "forge.test", "other.test")
    async with (
        egressing(directory, names=NAMES, authorities=pair[0]) as outside,
        site(tls=pair) as there,
    ):
        yield At(outside, there, pair[0])
