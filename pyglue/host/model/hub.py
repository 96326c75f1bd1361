"""hived's side of a daemon that serves agents' sockets: hive-relay, hive-egress.

hived creates each agent's socket and keeps it open, so that connections wait in its
backlog while the daemon restarts. It sends the daemon every agent's policy, and each
change of it.
"""

import logging
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Generic

from pyglue.api.common import PROTOCOL, HelloParams, HelloResult, Note, Role
from pyglue.api.handover import DETACH, DetachParams, P
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.handover.give import Giver
from pyglue.host.backends.owners import user_of
from pyglue.host.core.agent import Agent
from pyglue.host.core.registry import Registry
from pyglue.host.core.transitions import Transitions
from pyglue.jsonrpc import Connection, Handlers, Server, serve
from pyglue.limits import RELAY_RPC
from pyglue.manifest.record import PinnedRecord
from pyglue.redaction.redactor import Redactor
from pyglue.store.database import Store

_MODE: Final = 0o660
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Daemon(Generic[P]):
    """A daemon, its sockets, and the user it runs as (None: hived's own)."""

    name: str
    role: Role
    user: int | None
    calls: Path
    sockets: Path
    agent_socket: str
    """The file name of an agent's socket."""
    policy: Note[P]


@dataclass(kw_only=True)
class Hub(ABC, Generic[P]):
    """Hands agents' sockets and policies to a daemon."""

    store: Store
    registry: Registry
    transitions: Transitions
    config: HiveConfig
    server_name: str
    redactor: Redactor
    policies: dict[str, P] = field(default_factory=dict, init=False)
    """The policies of the agents that have a socket."""
    _daemon: Daemon[P] = field(init=False)
    _sockets: Giver = field(init=False)
    _connections: set[Connection] = field(default_factory=set, init=False)
    _server: Server | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Follow changes to agents' policies."""
        self._daemon = it = self.daemon()
        self._sockets = Giver(path=it.sockets, mode=_MODE, gid=it.user)
        self.transitions.listen(self.refresh)

    @abstractmethod
    def daemon(self) -> Daemon[P]:
        """Return the daemon that this serves."""

    @abstractmethod
    def policy(self, agent: Agent, record: PinnedRecord) -> P:
        """Return what an agent may do through the daemon."""

    @abstractmethod
    def handlers(self) -> Handlers:
        """Return the handlers of the daemon's calls."""

    async def open(self) -> None:
        """Listen for the daemon."""
        it = self._daemon
        self._server = await serve(
            it.calls,
            self._session,
            limits=RELAY_RPC,
            mode=_MODE,
            gid=it.user,
            clean=self.redactor.line,
        )
        self._sockets.open()

    def close(self) -> None:
        """Stop listening, for the daemon and for agents."""
        if self._server is not None:
            self._server.close()
        self._sockets.close()

    def add(self, agent: Agent, record: PinnedRecord) -> None:
        """Create the agent's socket, and send the daemon the policy of ``record``."""
        self._send(self.policy(agent, record))
        if not self._sockets.has(agent.name):
            gid = user_of(self.config, agent.name)
            self._sockets.add(agent.name, self.socket_of(agent.name), gid=gid)

    def remove(self, name: str) -> None:
        """Close the agent's socket."""
        self.policies.pop(name, None)
        self._sockets.remove(name)
        for connection in self._connections:
            connection.notify(DETACH, DetachParams(agent=name))

    def refresh(self, agent: Agent) -> None:
        """Send the agent's policy if it changed and the agent has a socket."""
        if agent.name in self.policies:
            self._send(self.policy(agent, agent.policy()))

    def socket_of(self, name: str) -> Path:
        """Return the path of an agent's socket."""
        return self.config.layout.run(name) / self._daemon.agent_socket

    def attached(self) -> bool:
        """Return whether the daemon is connected."""
        return bool(self._connections)

    def pids(self) -> tuple[int, ...]:
        """Return the ids of the connected processes, as far as known."""
        found = {one.peer_pid for one in self._connections}
        return tuple(sorted(pid for pid in found if pid))

    def _send(self, policy: P) -> None:
        if self.policies.get(policy.agent) == policy:
            return
        self.policies[policy.agent] = policy
        for connection in self._connections:
            connection.notify(self._daemon.policy, policy)

    def _session(
        self, connection: Connection, hello: HelloParams
    ) -> tuple[HelloResult, Handlers]:
        it = self._daemon
        if it.user is not None and connection.peer_uid not in (it.user, os.geteuid()):
            raise HiveError(ErrorCode.FORBIDDEN, f"This user is not {it.name}.")
        _log.debug("%s connected", hello.client)
        self._connections.add(connection)
        connection.on_close(lambda: self._connections.discard(connection))
        result = HelloResult(protocol=PROTOCOL, role=it.role, server=self.server_name)
        return result, self.handlers()
