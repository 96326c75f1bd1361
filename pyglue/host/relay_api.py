"""hived's side of ``relay.sock``: listening descriptors, policies, money.

hived makes every agent's ``model.sock`` and keeps it open, so requests wait in its
backlog while the relay restarts. Money is set aside before a request and settled
after it, in the store, where no agent reaches.
"""

import asyncio
import contextlib
import datetime
import logging
import os
import socket
from collections.abc import Callable
from typing import Final

import msgspec

from pyglue import models
from pyglue.api.common import (
    PROTOCOL,
    Done,
    HelloParams,
    HelloResult,
    NoParams,
    Role,
)
from pyglue.api.relay import (
    ATTACH,
    DETACH,
    POLICY,
    RESERVE,
    SETTLE,
    AttachResult,
    DetachParams,
    Listener,
    ModelPolicy,
    ReserveParams,
    ReserveResult,
    SettleParams,
)
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.registry import Agent, Registry
from pyglue.jsonrpc import Connection, Handlers, Server, bind_unix, serve
from pyglue.manifest import PinnedRecord
from pyglue.store import usage
from pyglue.store.database import Store, Tx

_MODE: Final = 0o660
_log = logging.getLogger(__name__)


def start_of_day() -> float:
    """Return the last midnight (UTC) in seconds since the epoch."""
    now = datetime.datetime.now(datetime.UTC)
    return now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


class RelayHub:
    """Hands sockets to the relay and keeps its books."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        config: HiveConfig,
        *,
        server_name: str,
    ) -> None:
        self._store = store
        self._registry = registry
        self._config = config
        self._server_name = server_name
        self._listeners: dict[str, socket.socket] = {}
        self._policies: dict[str, ModelPolicy] = {}
        self._connections: set[Connection] = set()
        self._channels: set[socket.socket] = set()
        self._server: Server | None = None
        self._fds: socket.socket | None = None
        self._spent: Callable[[str], None] = lambda _agent: None

    # --- sockets ------------------------------------------------------------------

    async def open(self) -> None:
        """Listen for the relay."""
        layout, gid = self._config.layout, self._gid()
        self._server = await serve(
            layout.relay_socket, self._session, mode=_MODE, gid=gid
        )
        self._fds = bind_unix(
            layout.relay_fds_socket, mode=_MODE, gid=gid, kind=socket.SOCK_SEQPACKET
        )
        asyncio.get_running_loop().add_reader(self._fds, self._accept)

    def close(self) -> None:
        """Stop listening, for the relay and for agents."""
        if self._server is not None:
            self._server.close()
        if self._fds is not None:
            asyncio.get_running_loop().remove_reader(self._fds)
            self._fds.close()
        for channel in list(self._channels):
            self._drop(channel)
        for listener in self._listeners.values():
            listener.close()

    def add(self, agent: Agent, record: PinnedRecord) -> None:
        """Give the agent its ``model.sock``, and the relay the policy of ``record``."""
        policy = self._policy(agent, record)
        self._policies[agent.name] = policy
        for connection in self._connections:
            connection.notify(POLICY, policy)
        if agent.name in self._listeners:
            return
        ids = self._config.ids
        listener = bind_unix(
            self._config.layout.run(agent.name) / "model.sock",
            mode=_MODE,
            gid=None if ids is None else ids.agent,
            kind=socket.SOCK_STREAM,
        )
        self._listeners[agent.name] = listener
        for channel in list(self._channels):
            self._hand_over(channel, agent.name, listener)

    def remove(self, name: str) -> None:
        """Take the agent's ``model.sock`` away."""
        self._policies.pop(name, None)
        listener = self._listeners.pop(name, None)
        if listener is not None:
            listener.close()
        for connection in self._connections:
            connection.notify(DETACH, DetachParams(agent=name))

    def attached(self) -> bool:
        """Tell whether a relay is connected."""
        return bool(self._connections)

    def _gid(self) -> int | None:
        ids = self._config.ids
        return None if ids is None else ids.relay

    def _policy(self, agent: Agent, record: PinnedRecord) -> ModelPolicy:
        manifest = record.typed
        allowed = [models.resolve(manifest.model), models.small()]
        limits = [
            manifest.limits.cost_per_day_usd,
            self._config.limits.cost_per_day_usd,
        ]
        return ModelPolicy(
            agent=agent.name,
            models=tuple({model.id for model in allowed if model is not None}),
            server_tools=manifest.server_tools,
            cost_per_day_usd=min(
                (limit for limit in limits if limit is not None), default=None
            ),
        )

    def _accept(self) -> None:
        if self._fds is None:
            return
        with contextlib.suppress(BlockingIOError):
            channel, _ = self._fds.accept()
            channel.setblocking(False)
            self._channels.add(channel)
            # Nothing is ever sent to us here: readable means it is gone.
            loop = asyncio.get_running_loop()
            loop.add_reader(channel, lambda: self._drop(channel))
            for name, listener in self._listeners.items():
                self._hand_over(channel, name, listener)

    def _hand_over(
        self, channel: socket.socket, name: str, listener: socket.socket
    ) -> None:
        datagram = msgspec.json.encode(Listener(agent=name))
        try:
            socket.send_fds(channel, [datagram], [listener.fileno()])
        except OSError as error:
            _log.warning("the relay did not take a socket: %s", error)
            self._drop(channel)

    def _drop(self, channel: socket.socket) -> None:
        asyncio.get_running_loop().remove_reader(channel)
        self._channels.discard(channel)
        channel.close()

    # --- calls --------------------------------------------------------------------

    def _session(
        self, connection: Connection, hello: HelloParams
    ) -> tuple[HelloResult, Handlers]:
        ids = self._config.ids
        if ids is not None and connection.peer_uid not in (ids.relay, os.geteuid()):
            raise HiveError(ErrorCode.FORBIDDEN, "This user is not the relay.")
        _log.debug("%s connects", hello.client)
        self._connections.add(connection)
        connection.on_close(lambda: self._connections.discard(connection))
        handlers = Handlers()
        handlers.on(ATTACH, self._attach)
        handlers.on(RESERVE, self._reserve)
        handlers.on(SETTLE, self._settle)
        result = HelloResult(
            protocol=PROTOCOL, role=Role.RELAY, server=self._server_name
        )
        return result, handlers

    async def _attach(self, _params: NoParams) -> AttachResult:
        return AttachResult(policies=tuple(self._policies.values()))

    async def _reserve(self, params: ReserveParams) -> ReserveResult:
        agent = self._registry.get(params.agent)
        policy = self._policies.get(params.agent)
        if policy is None:
            raise HiveError(
                ErrorCode.AGENT_NOT_RUNNING, f"{agent.name} has no access to a model."
            )
        limit = policy.cost_per_day_usd

        def reserve(tx: Tx) -> int:
            if limit is not None:
                spent = usage.spent(tx, agent.name, start_of_day())
                if spent + params.cost_usd > limit:
                    raise _over_budget(agent.name, spent, limit)
            return usage.reserve(
                tx,
                agent=agent.name,
                turn=agent.turn,
                model=params.model,
                cost_usd=params.cost_usd,
            )

        return ReserveResult(reservation=await self._store.write(reserve))

    async def _settle(self, params: SettleParams) -> Done:
        await self._store.write(lambda tx: usage.settle(tx, params))
        return Done()


def _over_budget(name: str, spent: float, limit: float) -> HiveError:
    return HiveError(
        ErrorCode.OVER_BUDGET,
        f"{name} has spent or set aside ${spent:.4f} of ${limit:.2f} today (UTC); this "
        "request could pass the limit. It holds until midnight, or until the operator "
        "approves a higher one.",
        details={"spent_usd": spent, "limit_usd": limit},
    )
