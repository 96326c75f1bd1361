"""hive-egress in this process with hived's real side of it, and servers on loopback.

``egressing`` gives alice an ``egress.sock`` and a table of names; ``Site`` is a host
that she may reach, over TLS or without.
"""

import asyncio
import contextlib
import functools
import ipaddress
import ssl
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from checks.kits.host.store import Kit, open_kit, put
from checks.kits.patience import PATIENCE_S
from pyglue.api.egress import EgressPolicy
from pyglue.api.overview import HostUse
from pyglue.config import EgressConfig, HiveConfig, Quotas
from pyglue.egress.app import Egress
from pyglue.host.core.agent import Agent
from pyglue.host.core.secret_uses import SecretUses
from pyglue.host.core.secrets import Secrets
from pyglue.host.model.egress import EgressHub
from pyglue.jsonrpc import short_path
from pyglue.limits import EgressLimits
from pyglue.manifest.record import PinnedRecord
from pyglue.net.addresses import Address
from pyglue.redaction.redactor import Redactor

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def make_certificate(room: Path, *names: str) -> tuple[Path, Path]:
    """Write a certificate that signed itself, and its key: the same for each names."""
    pair = room / f"{names[0]}.pem", room / f"{names[0]}.key"
    for path, text in zip(pair, _signed(names), strict=True):
        path.write_bytes(text)
    return pair


@functools.cache
def _signed(names: tuple[str, ...]) -> tuple[bytes, bytes]:
    """Make both with openssl."""
    kinds = {name: "IP" if name[0].isdigit() else "DNS" for name in names}
    alternatives = ",".join(f"{kind}:{name}" for name, kind in kinds.items())
    with tempfile.TemporaryDirectory() as room:
        cert, key = Path(room, "cert"), Path(room, "key")
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec"),
                *("-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"),
                *("-subj", "/CN=test", "-addext", f"subjectAltName={alternatives}"),
                *("-keyout", str(key), "-out", str(cert)),
            ],
            check=True,
            capture_output=True,
        )
        return cert.read_bytes(), key.read_bytes()


@dataclass(repr=False)
class Site:
    """A server that keeps the heads it gets and answers each as ``answer`` does."""

    answer: Callable[[bytes, Streams], Awaitable[None]]
    heads: list[bytes] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer one connection."""
        self.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            await self.answer(head, (reader, writer))
        writer.close()


async def hello(_head: bytes, streams: Streams) -> None:
    """Answer with a short text."""
    streams[1].write(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello\n")
    await streams[1].drain()


@contextlib.asynccontextmanager
async def site(
    answer: Callable[[bytes, Streams], Awaitable[None]] = hello,
    tls: tuple[Path, Path] | None = None,
) -> AsyncIterator[Site]:
    """Serve on a port of loopback."""
    made = Site(answer)
    context = None
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=context)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


@dataclass(repr=False)
class Outside:
    """hive-egress, hived's side of it, and what names resolve to."""

    kit: Kit
    hub: EgressHub
    egress: Egress
    agent: Agent
    addresses: dict[str, list[list[str]]] = field(default_factory=dict)
    """For each name the answers to the next lookups; the last one stays."""
    lookups: list[str] = field(default_factory=list)

    async def lookup(self, name: str, _port: int) -> list[Address]:
        """Answer as a resolver."""
        self.lookups.append(name)
        answers = self.addresses.get(name, [[]])
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [ipaddress.ip_address(one) for one in found]

    @property
    def socket(self) -> Path:
        """The agent's ``egress.sock``."""
        return self.hub.config.layout.run(self.agent.name) / "egress.sock"

    async def allow(self, *entries: str, secrets: Any = None) -> None:
        """Let the agent reach exactly these hosts, with these uses of secrets."""
        record = self.agent.policy()
        manifest: dict[str, Any] = {**record.manifest, "hosts": list(entries)}
        manifest["secrets"] = {
            name: {"inject": uses} for name, uses in (secrets or {}).items()
        }
        fresh = PinnedRecord(manifest, record.system)
        put(self.agent, record=fresh, applied=fresh)
        self.hub.add(self.agent, fresh)
        want = self.hub.policies.get(self.agent.name)
        async with asyncio.timeout(PATIENCE_S):
            while not self._has(want):
                await asyncio.sleep(0.005)

    def _has(self, want: EgressPolicy | None) -> bool:
        return self.egress.link.policies.get(self.agent.name) == want

    async def ask(self, data: bytes) -> Streams:
        """Connect and send something."""
        with short_path(self.socket) as name:
            streams = await asyncio.open_unix_connection(name)
        streams[1].write(data)
        return streams

    async def say(self, data: bytes) -> bytes:
        """Return the whole answer to something."""
        reader, writer = await self.ask(data)
        async with asyncio.timeout(PATIENCE_S):
            found = await reader.read()
        writer.close()
        return found

    async def connect(self, target: str) -> bytes:
        """Return the head of the answer to a CONNECT."""
        reader, writer = await self.ask(connect_to(target))
        async with asyncio.timeout(PATIENCE_S):
            found = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        return found

    async def reported(self, what: Callable[[HostUse], bool]) -> HostUse:
        """Wait until hived was told of a connection."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for one in self.hub.hosts(self.agent.name):
                    if what(one):
                        return one
                await asyncio.sleep(0.01)


def connect_to(target: str) -> bytes:
    """Return the request for a tunnel."""
    return f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode()


def uses_of(kit: Kit, config: HiveConfig) -> SecretUses:
    """Return what knows which secrets agents' requests carry."""
    secrets = Secrets(redactor=Redactor(), config=config, audit=kit.audit)
    return SecretUses(
        config=config, registry=kit.registry, secrets=secrets, audit=kit.audit
    )


def hub_of(kit: Kit, config: HiveConfig) -> EgressHub:
    """Return hived's side, not yet open."""
    return EgressHub(
        redactor=Redactor(),
        uses=uses_of(kit, config),
        store=kit.store,
        registry=kit.registry,
        transitions=kit.transitions,
        config=config,
        server_name="x",
    )


@contextlib.asynccontextmanager
async def egressing(
    room: Path,
    *,
    names: dict[str, str] | None = None,
    authorities: Path | None = None,
    quotas: Quotas | None = None,
    **limits: Any,
) -> AsyncIterator[Outside]:
    """Run hive-egress for alice, who may reach nothing yet."""
    kit = await open_kit(room / "kit")
    config = HiveConfig(
        state_dir=str(room / "state"),
        runtime_dir=str(room / "run"),
        quotas=quotas or Quotas(),
        egress=EgressConfig(
            names=names or {},
            authorities=None if authorities is None else authorities.read_text(),
        ),
    )
    alice = await kit.agent("alice")
    config.layout.run("alice").mkdir(parents=True)
    config.layout.state.mkdir()
    hub = hub_of(kit, config)
    await hub.open()
    numbers = {"report_s": 0.02, "fold_s": 0.05, **limits}
    made: Outside

    async def lookup(name: str, port: int) -> list[Address]:
        return await made.lookup(name, port)

    egress = Egress(config, limits=EgressLimits(**numbers), lookup=lookup)
    made = Outside(kit, hub, egress, alice)
    task = asyncio.create_task(egress.link.run())
    try:
        yield made
    finally:
        await egress.close()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        made.hub.close()
        await kit.store.close()
