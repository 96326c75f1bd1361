"""A daemon's connection to hived: policies and listening sockets of agents.

Reconnects by itself when hived restarts. Until then, nothing new is permitted, because
nobody could pause it; what is running continues. hived then creates new sockets, which
replace the old ones. hive-relay and hive-egress each add what they call hived for.
"""

import asyncio
import logging
import socket
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Generic

from pyglue.api.common import PROTOCOL, HelloParams, Note
from pyglue.api.handover import DETACH, DetachParams, P
from pyglue.errors import ErrorCode, HiveError
from pyglue.handover.take import Serve, take
from pyglue.jsonrpc import Connection, Handlers, connect

CALL_S: Final = 10.0
_PAUSES_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Place(Generic[P]):
    """Where a daemon reaches hived, as whom, and what it is sent."""

    client: str
    calls: Path
    sockets: Path
    """The listening sockets of agents are handed over here."""
    policy: Note[P]


@dataclass(kw_only=True, eq=False)
class Link(ABC, Generic[P]):
    """Keeps the connection to hived."""

    place: Place[P]
    serve: Serve
    """Open an agent's listener."""
    drop: Callable[[str], Awaitable[None]]
    """Close it."""
    cut: Callable[[str], None]
    """Abort what is running on it, but leave it open."""
    attached: Callable[[], object]
    """Called each time hived has sent the policies of all agents."""
    connection: Connection | None = field(default=None, init=False)
    """None while hived is not connected."""
    policies: dict[str, P] = field(default_factory=dict, init=False)
    """The policies that hived sent, by agent."""
    _served: set[str] = field(default_factory=set, init=False)
    _dropping: set[asyncio.Future[None]] = field(default_factory=set, init=False)

    @abstractmethod
    async def attach(self, connection: Connection) -> Iterable[P]:
        """Introduce this daemon; return the policies of all agents.

        Raises:
            HiveError: hived refused, or the connection is lost.
        """

    @abstractmethod
    async def report(self, connection: Connection) -> None:
        """Report to hived what is due, for as long as it is connected."""

    async def run(self) -> None:
        """Connect, and reconnect, for as long as the daemon runs.

        Raises:
            HiveError: ``unsupported_protocol``: this hived never accepts this daemon.
        """
        tries = 0
        while True:
            try:
                await self._attached()
                tries = 0
            except HiveError as error:
                if error.code is ErrorCode.UNSUPPORTED_PROTOCOL:
                    raise
                level = logging.WARNING if tries == len(_PAUSES_S) else logging.DEBUG
                _log.log(level, "no connection to hived: %s", error)
                tries += 1
            await asyncio.sleep(_PAUSES_S[min(tries, len(_PAUSES_S) - 1)])

    async def _attached(self) -> None:
        handlers = Handlers()
        handlers.on_note(self.place.policy, self._set_policy)
        handlers.on_note(DETACH, self._detach)
        hello = HelloParams(protocol=PROTOCOL, client=self.place.client)
        self.policies.clear()
        connection = await connect(self.place.calls, handlers, hello=hello)
        try:
            for policy in await self.attach(connection):
                self._set_policy(policy)
            for agent in self._served - self.policies.keys():
                await self._gone(agent)
            self.connection = connection
            _log.info("connected to hived")
            self.attached()
            tasks = (
                asyncio.create_task(take(self.place.sockets, self._open)),
                asyncio.create_task(connection.wait_closed()),
                asyncio.create_task(self.report(connection)),
            )
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            self.connection = None
            connection.close()

    def _set_policy(self, policy: P) -> None:
        self.policies[policy.agent] = policy
        if policy.cuts:
            self.cut(policy.agent)

    def _detach(self, params: DetachParams) -> None:
        self.policies.pop(params.agent, None)
        task = asyncio.ensure_future(self._gone(params.agent))
        self._dropping.add(task)
        task.add_done_callback(self._dropping.discard)

    async def _gone(self, agent: str) -> None:
        self._served.discard(agent)
        await self.drop(agent)

    async def _open(self, agent: str, listener: socket.socket) -> None:
        await self.serve(agent, listener)
        self._served.add(agent)
