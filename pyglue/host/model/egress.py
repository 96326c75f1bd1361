"""hived's side of hive-egress: agents' sockets, policies, and what was seen.

hived makes the ``egress.sock`` of every agent that may reach some hosts and has no
network, and keeps it open, so that connections wait in its queue while hive-egress
starts again. What hive-egress reports is an event each, and is kept here for the
agent's page and the metrics, until hived ends.
"""

import logging
import os
import time
from dataclasses import dataclass, field
from typing import Final

from pyglue.api.common import PROTOCOL, Done, HelloParams, HelloResult, NoParams, Role
from pyglue.api.egress import (
    ATTACH,
    DETACH,
    POLICY,
    REPORT,
    AttachedResult,
    DetachParams,
    EgressPolicy,
    HostRecord,
    ReportParams,
)
from pyglue.api.events import HostContacted
from pyglue.api.overview import EgressTotals, HostUse
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.handover.give import Giver
from pyglue.host.backends.owners import user_of
from pyglue.host.core.agent import Agent
from pyglue.host.core.registry import Registry
from pyglue.host.core.transitions import Transitions
from pyglue.jsonrpc import Connection, Handlers, Server, serve
from pyglue.limits import RELAY_RPC
from pyglue.manifest import PinnedRecord
from pyglue.store.database import Store

_MODE: Final = 0o660
_HOSTS_MAX: Final = 100
"""Hosts that are kept of an agent; the one that was seen longest ago goes first."""
_log = logging.getLogger(__name__)

_Key = tuple[str, int, str | None]


@dataclass
class _Seen:
    hosts: dict[_Key, HostUse] = field(default_factory=dict)
    totals: EgressTotals = field(default_factory=EgressTotals)


@dataclass(kw_only=True)
class EgressHub:
    """Hands sockets to hive-egress and keeps what it reports."""

    store: Store
    registry: Registry
    transitions: Transitions
    config: HiveConfig
    server_name: str
    _sockets: Giver = field(init=False)
    _policies: dict[str, EgressPolicy] = field(default_factory=dict, init=False)
    _connections: set[Connection] = field(default_factory=set, init=False)
    _server: Server | None = field(default=None, init=False)
    _seen: dict[str, _Seen] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._sockets = Giver(
            path=self.config.layout.egress_fds_socket, mode=_MODE, gid=self._gid()
        )
        self.transitions.listen(self.refresh)

    # --- sockets ------------------------------------------------------------------

    async def open(self) -> None:
        """Listen for hive-egress."""
        self._server = await serve(
            self.config.layout.egress_socket,
            self._session,
            limits=RELAY_RPC,
            mode=_MODE,
            gid=self._gid(),
        )
        self._sockets.open()

    def close(self) -> None:
        """Stop listening, for hive-egress and for agents."""
        if self._server is not None:
            self._server.close()
        self._sockets.close()

    def add(self, agent: Agent, record: PinnedRecord) -> None:
        """Give the agent its ``egress.sock``, if ``record`` lets it reach hosts."""
        policy = self._policy(agent, record)
        if not policy.allow:
            self.remove(agent.name)
            return
        self._say(policy)
        if not self._sockets.has(agent.name):
            self._sockets.add(
                agent.name,
                self.config.layout.run(agent.name) / "egress.sock",
                gid=user_of(self.config, agent.name),
            )

    def remove(self, name: str) -> None:
        """Take the agent's ``egress.sock`` away."""
        if self._policies.pop(name, None) is None:
            return
        self._sockets.remove(name)
        (self.config.layout.run(name) / "egress.sock").unlink(missing_ok=True)
        for connection in self._connections:
            connection.notify(DETACH, DetachParams(agent=name))

    def refresh(self, agent: Agent) -> None:
        """Tell hive-egress anew what the agent may reach, if it may at all."""
        if agent.name in self._policies:
            self._say(self._policy(agent, agent.policy()))

    def forget(self, name: str) -> None:
        """Forget what a destroyed agent did."""
        self.remove(name)
        self._seen.pop(name, None)

    def _say(self, policy: EgressPolicy) -> None:
        if self._policies.get(policy.agent) == policy:
            return
        self._policies[policy.agent] = policy
        for connection in self._connections:
            connection.notify(POLICY, policy)

    def _policy(self, agent: Agent, record: PinnedRecord) -> EgressPolicy:
        return EgressPolicy(
            agent=agent.name,
            allow=record.typed.hosts if not record.typed.network else (),
            halted=self.registry.halted(agent),
        )

    def _gid(self) -> int | None:
        ids = self.config.ids
        return None if ids is None else ids.egress

    # --- what is shown --------------------------------------------------------------

    def attached(self) -> bool:
        """Tell whether hive-egress is connected."""
        return bool(self._connections)

    @property
    def problem(self) -> str | None:
        """What is wrong, if some agent needs hive-egress and it is not there."""
        if not self._policies or self.attached():
            return None
        return (
            "hive-egress is not connected, so agents cannot reach the hosts in their "
            "hyperhive.network.allow."
        )

    def pids(self) -> tuple[int, ...]:
        """Return the processes that are connected, as far as known."""
        found = {one.peer_pid for one in self._connections}
        return tuple(sorted(pid for pid in found if pid))

    def hosts(self, name: str) -> tuple[HostUse, ...]:
        """Return the hosts that an agent asked for, the newest first."""
        seen = self._seen.get(name, _Seen())
        return tuple(reversed(seen.hosts.values()))

    def totals(self, name: str) -> EgressTotals | None:
        """Return what an agent's connections add up to; None if it had none."""
        seen = self._seen.get(name)
        return None if seen is None else seen.totals

    # --- calls ----------------------------------------------------------------------

    def _session(
        self, connection: Connection, hello: HelloParams
    ) -> tuple[HelloResult, Handlers]:
        ids = self.config.ids
        if ids is not None and connection.peer_uid not in (ids.egress, os.geteuid()):
            raise HiveError(ErrorCode.FORBIDDEN, "This user is not hive-egress.")
        _log.debug("%s connected", hello.client)
        self._connections.add(connection)
        connection.on_close(lambda: self._connections.discard(connection))
        handlers = Handlers()
        handlers.on(ATTACH, self._attach)
        handlers.on(REPORT, self._report)
        result = HelloResult(
            protocol=PROTOCOL, role=Role.EGRESS, server=self.server_name
        )
        return result, handlers

    async def _attach(self, _params: NoParams) -> AttachedResult:
        return AttachedResult(policies=tuple(self._policies.values()))

    async def _report(self, params: ReportParams) -> Done:
        for record in params.records:
            if self.registry.find(record.agent) is not None:
                self._count(record)
                event = HostContacted(
                    host=record.host,
                    port=record.port,
                    refused=record.refused,
                    connections=record.connections,
                    sent=record.sent,
                    received=record.received,
                )
                self.store.emit(record.agent, event)
        return Done()

    def _count(self, record: HostRecord) -> None:
        seen = self._seen.setdefault(record.agent, _Seen())
        key = (record.host, record.port, record.refused)
        old = seen.hosts.pop(key, HostUse(host=record.host, port=record.port))
        seen.hosts[key] = HostUse(
            host=record.host,
            port=record.port,
            refused=record.refused,
            connections=old.connections + record.connections,
            sent=old.sent + record.sent,
            received=old.received + record.received,
            last_at=time.time(),
        )
        if len(seen.hosts) > _HOSTS_MAX:
            del seen.hosts[next(iter(seen.hosts))]
        seen.totals = _added(seen.totals, record)


def _added(totals: EgressTotals, record: HostRecord) -> EgressTotals:
    refused = record.connections if record.refused else 0
    return EgressTotals(
        connected=totals.connected + record.connections - refused,
        refused=totals.refused + refused,
        sent=totals.sent + record.sent,
        received=totals.received + record.received,
    )
