"""All of hive-egress: a listener and a carrier for each agent, and a link to hived."""

import asyncio
import socket
from collections.abc import Callable

from pyglue.config import HiveConfig
from pyglue.egress.authority import Authority
from pyglue.egress.carry import Carrier
from pyglue.egress.dial import Dialer, Lookup
from pyglue.egress.inject import Injector, trusted
from pyglue.egress.link import Link, place
from pyglue.egress.listener import Listener
from pyglue.egress.traffic import Traffic
from pyglue.handover.share import connections_each
from pyglue.limits import EgressLimits
from pyglue.net.forwarding import Scratch


class Egress:
    """Serves agents' sockets. Create it inside the running loop."""

    def __init__(
        self,
        config: HiveConfig,
        *,
        attached: Callable[[], object] = lambda: None,
        limits: EgressLimits | None = None,
        lookup: Lookup | None = None,
    ) -> None:
        """``attached`` is called whenever hived has sent the policies of all agents.

        ``lookup`` is for tests.
        """
        self._limits = limits or EgressLimits()
        self._traffic = Traffic(self._limits)
        self._dialer = Dialer(self._limits, names=config.egress.names, lookup=lookup)
        self._authority = Authority()
        self._scratch = Scratch()
        self._injector = Injector(
            authority=self._authority,
            lines=lambda agent, host: self.link.lines(agent, host),
            limits=self._limits,
            trusted=trusted(config.egress.authorities),
            scratch=self._scratch,
        )
        self._listeners: dict[str, list[Listener]] = {}
        self.link = Link(
            place=place(config.layout),
            traffic=self._traffic,
            limits=self._limits,
            serve=self._open,
            drop=self._shut,
            cut=self._cut,
            attached=attached,
            authority=self._authority.pem,
        )

    async def close(self) -> None:
        """Close all connections and listeners."""
        await asyncio.gather(*(self._shut(agent) for agent in list(self._listeners)))
        self._dialer.close()

    async def _open(self, agent: str, listener: socket.socket) -> None:
        carrier = Carrier(
            agent=agent,
            policy=lambda: self.link.policy(agent),
            dialer=self._dialer,
            traffic=self._traffic,
            limits=self._limits,
            injector=self._injector,
            scratch=self._scratch,
        )
        old = self._listeners.get(agent, [])
        for one in old:
            one.retire()
        fresh = Listener(
            listener,
            carrier.serve,
            most=lambda: connections_each(
                len(self._listeners),
                most=self._limits.connections,
                reserved=self._limits.descriptors_reserved,
            ),
        )
        self._listeners[agent] = [*(one for one in old if one.is_busy), fresh]

    async def _shut(self, agent: str) -> None:
        gone = self._listeners.pop(agent, [])
        await asyncio.gather(*(one.shut() for one in gone))

    def _cut(self, agent: str) -> None:
        for one in self._listeners.get(agent, ()):
            one.cut()
