"""hived's side of the relay's sockets, small and in memory.

``FakeHived`` plays it for the tests of the relay: policies, one listening socket an
agent handed over as a descriptor, and the books (``reserved``, ``settled``).
"""

import asyncio
import itertools
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from checks.kits.patience import PATIENCE_S
from pyglue.api.common import (
    PROTOCOL,
    Done,
    HelloParams,
    HelloResult,
    Role,
)
from pyglue.api.handover import DETACH, DetachParams, Listener
from pyglue.api.relay import (
    ATTACH,
    POLICY,
    RESERVE,
    SETTLE,
    AttachParams,
    AttachResult,
    ModelPolicy,
    ReserveParams,
    ReserveResult,
    SettleParams,
)
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import Connection, Handlers, Server, bind_unix, serve


@dataclass(repr=False)
class FakeHived:
    """hived's side of the relay's sockets. ``limit_usd`` refuses above it.

    ``hold`` lets reservations wait, made but not told.
    """

    config: HiveConfig
    policies: dict[str, ModelPolicy] = field(default_factory=dict)
    limit_usd: float | None = None
    refuse: HiveError | None = None
    hold: asyncio.Event | None = None
    over_budget: int = 0
    reserved: list[ReserveParams] = field(default_factory=list)
    settled: list[SettleParams] = field(default_factory=list)
    attached: list[AttachParams] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    _ids: Any = field(default_factory=lambda: itertools.count(1))
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _listeners: dict[str, socket.socket] = field(default_factory=dict)
    _channels: list[socket.socket] = field(default_factory=list)
    _server: Server | None = None
    _fds: socket.socket | None = None

    async def start(self) -> None:
        """Listen for the relay."""
        layout = self.config.layout
        layout.runtime.mkdir(parents=True, exist_ok=True)
        self._fds = bind_unix(
            layout.relay_fds_socket, mode=0o600, gid=None, kind=socket.SOCK_SEQPACKET
        )
        asyncio.get_running_loop().add_reader(self._fds, self._accept)
        self._server = await serve(layout.relay_socket, self._session)

    def stop(self) -> None:
        """Go away, as hived does when it restarts."""
        assert self._server is not None and self._fds is not None
        asyncio.get_running_loop().remove_reader(self._fds)
        self._server.close()
        for sock in (self._fds, *self._channels, *self._listeners.values()):
            sock.close()
        self.connections.clear()
        self._channels.clear()
        self._listeners.clear()

    def add(self, policy: ModelPolicy) -> None:
        """Give an agent a socket and a policy."""
        path = self.door(policy.agent)
        path.parent.mkdir(parents=True, exist_ok=True)
        listener = bind_unix(path, mode=0o660, gid=None, kind=socket.SOCK_STREAM)
        self._listeners[policy.agent] = listener
        self.change(policy)
        for channel in self._channels:
            self.hand_over(channel, policy.agent)

    def change(self, policy: ModelPolicy) -> None:
        """Change an agent's policy."""
        self.policies[policy.agent] = policy
        for connection in self.connections:
            connection.notify(POLICY, policy)

    def detach(self, agent: str) -> None:
        """Take an agent's access away."""
        del self.policies[agent]
        self._listeners.pop(agent).close()
        for connection in self.connections:
            connection.notify(DETACH, DetachParams(agent=agent))

    def door(self, agent: str) -> Path:
        """Return the agent's ``model.sock``."""
        return self.config.layout.run(agent) / "model.sock"

    def hand_over(self, channel: socket.socket, agent: str) -> None:
        """Send an agent's descriptor."""
        datagram = msgspec.json.encode(Listener(agent=agent))
        socket.send_fds(channel, [datagram], [self._listeners[agent].fileno()])

    @property
    def channel(self) -> socket.socket:
        """The relay's end for descriptors."""
        return self._channels[-1]

    async def until_settled(self, number: int) -> SettleParams:
        """Return the settlement that makes ``number`` of them."""
        await self.until(lambda: len(self.settled) >= number)
        return self.settled[number - 1]

    async def until(self, condition: Any) -> None:
        """Return when ``condition`` holds; looked at after every call."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def _accept(self) -> None:
        assert self._fds is not None
        channel, _ = self._fds.accept()
        self._channels.append(channel)
        for agent in self._listeners:
            self.hand_over(channel, agent)
        self._changed.set()

    def _session(
        self, connection: Connection, hello: HelloParams
    ) -> tuple[HelloResult, Handlers]:
        assert hello.client == "hive-relay"
        self.connections.append(connection)
        handlers = Handlers()
        handlers.on(ATTACH, self._attach)
        handlers.on(RESERVE, self._reserve)
        handlers.on(SETTLE, self._settle)
        result = HelloResult(protocol=PROTOCOL, role=Role.RELAY, server="fake")
        return result, handlers

    async def _attach(self, params: AttachParams) -> AttachResult:
        self.attached.append(params)
        return AttachResult(policies=tuple(self.policies.values()))

    async def _reserve(self, params: ReserveParams) -> ReserveResult:
        if self.refuse is not None:
            raise self.refuse
        if self.limit_usd is not None and params.cost_usd > self.limit_usd:
            self.over_budget += 1
            self._changed.set()
            raise HiveError(
                ErrorCode.OVER_BUDGET,
                "alice has spent it all.",
                details={"spent_usd": 0.0, "limit_usd": self.limit_usd},
            )
        self.reserved.append(params)
        self._changed.set()
        if self.hold is not None:
            await self.hold.wait()
        return ReserveResult(reservation=next(self._ids))

    async def _settle(self, params: SettleParams) -> Done:
        self.settled.append(params)
        self._changed.set()
        return Done()
