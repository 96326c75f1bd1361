"""A loopback listener for each agent, which redirects to the agent's page.

It redirects to the configured address, else to the dashboard's port on 127.0.0.1, which
explains how to log in. Anybody on this machine may send requests here, or listen here
while nobody else does, so the name of a dashboard on loopback is not revealed and no
browser sends a session.

hived assigns the ports through a call that needs no session: it returns when they
change, and takes a list of those that could not be bound. The listeners only redirect,
so there is nothing to protect or to reveal. A port in use by another program is
reported and tried again, never replaced by another.
"""

import asyncio
import contextlib
import errno
import logging
import re
import socket
import threading
from typing import Final

from pyglue.api.common import PROTOCOL, HelloParams
from pyglue.api.metrics import AgentPort, AgentPortsParams, PortConflict
from pyglue.api.operator import AGENT_PORTS
from pyglue.config import HiveConfig, WebConfig, origin
from pyglue.errors import HiveError
from pyglue.jsonrpc import Connection, connect
from pyglue.names import is_name
from pyglue.web.live.hub import CLIENT

_WAIT_S: Final = 180.0
_AGAIN_S: Final = 20.0
"""Seconds after which a port in use, or an unreachable hived, is tried again."""
_HEAD_MAX: Final = 16 * 1024
_HEAD_S: Final = 5.0
_OPEN_MAX: Final = 64
"""Simultaneous connections to one agent's port."""
_TARGET: Final = re.compile(rb"[A-Z]{1,16} (/[!-~]{0,4000}) HTTP/1\.[01]")

_log = logging.getLogger(__name__)


def location(web: WebConfig, agent: str, target: str) -> str:
    """Return where a request for ``target`` on an agent's port is redirected."""
    site = origin.configured(web) or f"http://127.0.0.1:{web.port}"
    page = f"{site}/agents/{agent}"
    path = target[1:] if target.startswith(("/?", "/#")) or target == "/" else target
    return page + path


class AgentPorts:
    """Binds the ports assigned by hived, for as long as ``run`` runs."""

    def __init__(self, config: HiveConfig, *, again_s: float = _AGAIN_S) -> None:
        self._config = config
        self._again_s = again_s
        self._servers: dict[AgentPort, asyncio.Server] = {}
        self._conflicts: dict[str, str] = {}

    def start(self) -> None:
        """Run in a thread of its own until the process ends."""
        threading.Thread(
            target=lambda: asyncio.run(self.run()), name="agent-ports", daemon=True
        ).start()

    async def run(self) -> None:
        """Follow hived until cancelled."""
        try:
            while True:
                with contextlib.suppress(HiveError):
                    await self._follow()
                await asyncio.sleep(min(self._again_s, 1.0))
        finally:
            for server in self._servers.values():
                server.close()

    async def _follow(self) -> None:
        hello = HelloParams(protocol=PROTOCOL, client=CLIENT)
        connection = await connect(self._config.layout.operator_socket, hello=hello)
        try:
            await self._serve(connection)
        finally:
            connection.close()

    async def _serve(self, connection: Connection) -> None:
        known = 0
        reported: dict[str, str] = {}
        while True:
            wait = self._again_s if self._conflicts else _WAIT_S
            params = AgentPortsParams(
                known=known,
                conflicts=tuple(
                    PortConflict(agent=agent, reason=reason)
                    for agent, reason in self._conflicts.items()
                ),
                wait_seconds=wait if reported == self._conflicts else 0.0,
            )
            reported = dict(self._conflicts)
            answer = await connection.call(AGENT_PORTS, params, timeout=_WAIT_S + 30)
            known = answer.version
            await self._bind(answer.ports)

    async def _bind(self, ports: tuple[AgentPort, ...]) -> None:
        """Listen on exactly these ports."""
        for gone in set(self._servers) - set(ports):
            self._servers.pop(gone).close()
        conflicts: dict[str, str] = {}
        owner: dict[int, str] = {}
        for one in ports:
            if not is_name(one.agent):
                continue
            first = owner.setdefault(one.port, one.agent)
            if first != one.agent:
                conflicts[one.agent] = f"Port {one.port} belongs to {first}."
            elif one not in self._servers:
                try:
                    self._servers[one] = await self._listen(one)
                except OSError as error:
                    conflicts[one.agent] = _reason(one.port, error)
        for agent, reason in conflicts.items():
            if self._conflicts.get(agent) != reason:
                _log.warning("%s: %s", agent, reason)
        self._conflicts = conflicts

    async def _listen(self, one: AgentPort) -> asyncio.Server:
        open_now = asyncio.Semaphore(_OPEN_MAX)

        async def answer(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            if not open_now.locked():
                async with open_now:
                    with contextlib.suppress(OSError, TimeoutError, ValueError):
                        async with asyncio.timeout(_HEAD_S):
                            await self._answer(one.agent, reader, writer)
            writer.close()

        return await asyncio.start_server(
            answer,
            "127.0.0.1",
            one.port,
            family=socket.AF_INET,
            reuse_address=True,
            limit=_HEAD_MAX,
            backlog=16,
        )

    async def _answer(
        self, agent: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return
        except asyncio.LimitOverrunError:
            head = b""
        found = _TARGET.fullmatch(head.partition(b"\r\n")[0])
        if found is None:
            status, extra = "400 Bad Request", b""
        else:
            target = found[1].decode("ascii")
            where = location(self._config.web, agent, target)
            status, extra = "307 Temporary Redirect", f"Location: {where}\r\n".encode()
        writer.write(
            f"HTTP/1.1 {status}\r\n".encode()
            + extra
            + b"Cache-Control: no-store\r\nContent-Length: 0\r\n"
            + b"Connection: close\r\n\r\n"
        )
        await writer.drain()


def _reason(port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Another program on this host is listening on port {port}."
    return f"Cannot use port {port}: {error.strerror}."
