"""The attack surface of this hive: listeners, who can reach them, and their users.

For ``hive doctor --exposure``. The list covers the listeners of hived and its parts;
modes, owners and users are read from the running system, so it reveals sockets with too
many permissions, ports taken by another user, and undeclared listeners.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from pyglue.api.exposure import ExposureResult, Listener, ListenerKind
from pyglue.config import HiveConfig, origin
from pyglue.host.agents.ports import LOOPBACK, Ports
from pyglue.host.backends.base import Backend
from pyglue.host.core.agent import Agent, spec_of
from pyglue.host.core.registry import Registry
from pyglue.host.core.tcp_listeners import TcpListener, tcp_listeners
from pyglue.host.doctor import unit_scores
from pyglue.host.doctor.unix_sockets import unix_socket, user_name

_WILDCARDS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """Lists the listeners of one hive."""

    config: HiveConfig
    registry: Registry
    backend: Backend
    ports: Ports | None
    table: Callable[[], tuple[TcpListener, ...]] = tcp_listeners

    async def examine(self) -> ExposureResult:
        """Examine every listener now."""
        agents = self.registry.all()
        listeners = await asyncio.to_thread(lambda: tuple(self._listeners(agents)))
        return ExposureResult(
            listeners=listeners, units=await unit_scores.scores(self.backend.units)
        )

    def _listeners(self, agents: tuple[Agent, ...]) -> Iterator[Listener]:
        table = self.table()
        sockets = tuple(self._sockets(agents))
        yield from sockets
        yield from self._undeclared({Path(one.address) for one in sockets})
        tcp = tuple(self._tcp(agents, table))
        yield from tcp
        for agent in agents:
            yield self._forwarder(agent)
            if self._reaches_hosts(agent):
                yield self._tunnel(agent)
        yield from self._foreign(table, {one.address for one in tcp})

    # --- Unix sockets -----------------------------------------------------------------

    def _sockets(self, agents: tuple[Agent, ...]) -> Iterator[Listener]:
        layout = self.config.layout
        hived = user_name(os.geteuid())
        operators = "hive-web's user can only log in there without a live session."
        yield unix_socket("operator", layout.operator_socket, "hived", hived, operators)
        relay = "Serves hive-relay; other users are not in its group."
        yield unix_socket("relay", layout.relay_socket, "hived", hived, relay)
        yield unix_socket(
            "relay descriptors", layout.relay_fds_socket, "hived", hived, relay
        )
        purpose = "Serves hive-egress; other users are not in its group."
        yield unix_socket("egress", layout.egress_socket, "hived", hived, purpose)
        yield unix_socket(
            "egress descriptors", layout.egress_fds_socket, "hived", hived, purpose
        )
        if self.config.notify.is_on:
            user = user_name(self._uid("notify"))
            purpose = "Accepts notifications from hived and sends them."
            yield unix_socket(
                "notify", layout.notify_socket, "hive-notify", user, purpose
            )
        for agent in agents:
            place = layout.run(agent.name)
            own = f"The sandbox of {agent.name} contains no other agent's sockets."
            for name, process, uid in (
                ("hive.sock", "hived", os.geteuid()),
                ("model.sock", "hive-relay", self._uid("relay")),
                ("egress.sock", "hive-egress", self._uid("egress")),
            ):
                if (place / name).exists():
                    title = f"{name} of {agent.name}"
                    yield unix_socket(title, place / name, process, user_name(uid), own)

    def _undeclared(self, known: set[Path]) -> Iterator[Listener]:
        for path in sorted(self.config.layout.runtime.rglob("*")):
            if path not in known and path.is_socket():
                found = unix_socket("not declared", path, "unknown", None, "")
                undeclared = "No part of the hive listens under this name."
                yield msgspec.structs.replace(found, problem=undeclared)

    # --- TCP --------------------------------------------------------------------------

    def _tcp(
        self, agents: tuple[Agent, ...], table: tuple[TcpListener, ...]
    ) -> Iterator[Listener]:
        web = self.config.web
        first, *more = origin.listens_on(web)
        yield self._web("dashboard", first, web.port, table)
        for host in more:
            yield self._web(f"dashboard on {host}", host, web.port, table)
        yield Listener(
            name="workers of the dashboard",
            kind=ListenerKind.UNIX,
            address="the private temporary directory of hive-web/gunicorn.sock",
            process="hive-web",
            user=user_name(self._uid("web")),
            reach="root, and hive-web's own user.",
        )
        for agent in agents:
            port = None if self.ports is None else self.ports.port(agent.name)
            if port is not None:
                yield self._web(f"port of {agent.name}", LOOPBACK, port, table)

    def _web(
        self, name: str, host: str, port: int, table: tuple[TcpListener, ...]
    ) -> Listener:
        local = host.startswith("127.") or host == "::1"
        reach = "Every local process" if local else "Every host the firewall allows"
        wanted = self._uid("web")
        there = [
            one for one in table if one.port == port and one.host in {host, *_WILDCARDS}
        ]
        # If hive-web is a unit, systemd owns the listening socket.
        mine = {wanted, 0} if self.backend.units else {wanted}
        problem = None
        if table and not there:
            problem = "Nothing is listening there."
        elif any(one.uid not in mine for one in there):
            whose = ", ".join(sorted({user_name(one.uid) for one in there}))
            problem = f"A process of {whose} is listening there, not hive-web."
        return Listener(
            name=name,
            kind=ListenerKind.TCP,
            address=_address(host, port),
            process="hive-web",
            user=user_name(there[0].uid if problem and there else wanted),
            reach=f"{reach}; without a session, only the login page.",
            problem=problem,
        )

    def _forwarder(self, agent: Agent) -> Listener:
        record = agent.applied or agent.record
        network = record is not None and record.typed.network
        return self._of_harness(
            agent,
            name=f"model forwarder of {agent.name}",
            shared=self.backend.shares_network(network),
            reach="Every local process can connect: the agent shares the host's "
            "network. Requests need the key generated when the harness started.",
        )

    def _tunnel(self, agent: Agent) -> Listener:
        return self._of_harness(
            agent,
            name=f"proxy of {agent.name}",
            shared=self.backend.shares_network(False),
            reach="Every local process can connect and reach the hosts allowed to the "
            "agent: there is no sandbox.",
        )

    def _of_harness(
        self, agent: Agent, *, name: str, shared: bool, reach: str
    ) -> Listener:
        """Describe a listener of a harness; ``reach`` if on the host's network."""
        return Listener(
            name=name,
            kind=ListenerKind.TCP if shared else ListenerKind.SANDBOX,
            address=f"{LOOPBACK}, a port chosen by the kernel",
            process=f"harness of {agent.name}",
            user=user_name(self._uid("agent")),
            reach=reach
            if shared
            else f"Only processes in the sandbox of {agent.name}.",
        )

    def _reaches_hosts(self, agent: Agent) -> bool:
        record = agent.applied or agent.record
        return record is not None and spec_of(agent.name, record).egress

    def _foreign(
        self, table: tuple[TcpListener, ...], known: set[str]
    ) -> Iterator[Listener]:
        """Yield other listeners of the hive's own users."""
        ids = self.config.ids
        if ids is None:
            return
        for one in table:
            address = _address(one.host, one.port)
            ours = ids.is_agent(one.uid) or one.uid in {ids.web, ids.relay, ids.egress}
            if ours and address not in known:
                yield Listener(
                    name="a program of an agent" if ids.is_agent(one.uid) else "other",
                    kind=ListenerKind.TCP,
                    address=address,
                    process="unknown",
                    user=user_name(one.uid),
                    reach="Every local process"
                    if one.host.startswith("127.") or one.host == "::1"
                    else "Every host the firewall allows",
                )

    def _uid(self, part: str) -> int:
        ids = self.config.ids
        uid: int | None = None if ids is None else getattr(ids, part)
        return os.geteuid() if uid is None else uid


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
