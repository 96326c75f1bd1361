"""A host outside, and hive-egress as a process, for the benchmarks of it.

hived's side of hive-egress is in this process, and rests while it is measured.
"""

import asyncio
import contextlib
import os
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from checks.bench.mail import process
from checks.bench.measure import room
from checks.kits.egress.bench import connect_to, hub_of, make_certificate
from checks.kits.host.store import open_kit
from checks.kits.net.ports import free_port
from checks.kits.patience import PATIENCE_S
from pyglue.cli.local.ready import Readiness
from pyglue.config import EgressConfig, HiveConfig
from pyglue.host.model.egress import EgressHub

NAME: Final = "forge.test"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A host outside, and hive-egress as a process with hived's side in this one.

    The host answers over TLS, without, and with as many bytes as are asked for.
    """

    room: Path
    hub: EgressHub
    pid: int
    trusted: ssl.SSLContext
    secure: int
    plain: int
    pours: int

    def egress_socket(self, agent: str) -> Path:
        """Return where an agent reaches hive-egress."""
        return self.hub.config.layout.run(agent) / "egress.sock"

    def open(self, agent: str, port: int) -> socket.socket:
        """Return an open tunnel of an agent to one of the host's ports."""
        made = opened(self.egress_socket(agent))
        ask(made, port)
        return made


@contextlib.asynccontextmanager
async def setting(*agents: str) -> AsyncIterator[Setting]:
    """Run both; these agents may reach the host's ports."""
    async with contextlib.AsyncExitStack() as stack:
        directory = stack.enter_context(room())
        cert, key = make_certificate(directory, NAME)
        ports = tuple(str(free_port()) for _ in range(3))
        site = process("checks.bench.egress_site", cert, key, *ports)
        await stack.enter_async_context(site)
        config = HiveConfig(
            state_dir=str(directory / "state"),
            runtime_dir=str(directory / "run"),
            egress=EgressConfig(names={NAME: "127.0.0.1"}),
        )
        config.layout.state.mkdir()
        kit = await open_kit(directory)
        stack.push_async_callback(kit.store.close)
        hub = hub_of(kit, config)
        for name in agents:
            config.layout.run(name).mkdir(parents=True)
        await hub.open()
        stack.callback(hub.close)
        for name in agents:
            agent = await kit.agent(name, hosts=[f"{NAME}:{port}" for port in ports])
            hub.add(agent, agent.policy())
        pid = await stack.enter_async_context(_egress(config, directory))
        secure, plain, pours = map(int, ports)
        yield Setting(
            room=directory,
            hub=hub,
            pid=pid,
            trusted=ssl.create_default_context(cafile=str(cert)),
            secure=secure,
            plain=plain,
            pours=pours,
        )


@contextlib.asynccontextmanager
async def _egress(config: HiveConfig, directory: Path) -> AsyncIterator[int]:
    """Run hive-egress until the block ends; gives its process ID."""
    file, told = directory / "config.json", directory / "notify"
    file.write_bytes(msgspec.json.encode(config))
    readiness = Readiness(told, None)
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pyglue.egress.main", "--config", str(file)),
        env={**os.environ, "NOTIFY_SOCKET": str(told)},
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            await readiness.future
        yield child.pid
    finally:
        readiness.close()
        child.terminate()
        await child.wait()


def opened(path: Path) -> socket.socket:
    """Connect to a Unix socket."""
    made = socket.socket(socket.AF_UNIX)
    made.connect(str(path))
    return made


def ask(made: socket.socket, port: int) -> None:
    """Ask for a tunnel to the host, and wait until it is open."""
    made.sendall(connect_to(f"{NAME}:{port}"))
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        more = made.recv(65536)
        assert more, head
        head += more
    assert b" 200 " in head, head
