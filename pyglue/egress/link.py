"""hive-egress's connection to hived: policies and listening sockets down, reports up.

Comes back by itself when hived restarts. Until then nothing new is connected, because
nobody could pause it; what is connected goes on. hived makes new listening sockets
then, which take the place of the old ones.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from pyglue.api.common import PROTOCOL, HelloParams, NoParams
from pyglue.api.egress import (
    ATTACH,
    DETACH,
    POLICY,
    REPORT,
    DetachParams,
    EgressPolicy,
    ReportParams,
)
from pyglue.egress.refusal import RefusedError
from pyglue.egress.traffic import Traffic
from pyglue.errors import ErrorCode, HiveError
from pyglue.handover.take import Serve, take
from pyglue.jsonrpc import Connection, Handlers, connect
from pyglue.limits import EgressLimits
from pyglue.paths import Layout

_PAUSES_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_CALL_S: Final = 10.0

_log = logging.getLogger(__name__)


class Link:
    """Keeps the connection; ``serve`` and ``drop`` open and close an agent's socket.

    ``cut`` breaks off an agent's connections and leaves its socket open.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        traffic: Traffic,
        limits: EgressLimits,
        serve: Serve,
        drop: Callable[[str], Awaitable[None]],
        cut: Callable[[str], None],
        attached: Callable[[], object],
    ) -> None:
        self._layout = layout
        self._traffic = traffic
        self._limits = limits
        self._serve = serve
        self._drop = drop
        self._cut = cut
        self._attached_now = attached
        self._connection: Connection | None = None
        self.policies: dict[str, EgressPolicy] = {}
        """What hived told of each agent."""
        self._served: set[str] = set()
        self._dropping: set[asyncio.Future[None]] = set()

    def policy(self, agent: str) -> EgressPolicy:
        """Return which hosts an agent may reach.

        Raises:
            RefusedError: hived is not connected, or knows no such agent.
        """
        found = self.policies.get(agent) if self._connection else None
        if found is None:
            raise RefusedError(
                503, "hived is not connected; it may be restarting. Try again."
            )
        return found

    async def run(self) -> None:
        """Connect, and connect again, for as long as the process runs.

        Raises:
            HiveError: ``unsupported_protocol``: this hived never takes this process.
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
        handlers.on_note(POLICY, self._set_policy)
        handlers.on_note(DETACH, self._detach)
        hello = HelloParams(protocol=PROTOCOL, client="hive-egress")
        self.policies.clear()
        connection = await connect(self._layout.egress_socket, handlers, hello=hello)
        try:
            attached = await connection.call(ATTACH, NoParams(), timeout=_CALL_S)
            for policy in attached.policies:
                self._set_policy(policy)
            for agent in self._served - self.policies.keys():
                await self._gone(agent)
            self._connection = connection
            _log.info("connected to hived")
            self._attached_now()
            tasks = (
                asyncio.create_task(take(self._layout.egress_fds_socket, self._open)),
                asyncio.create_task(connection.wait_closed()),
                asyncio.create_task(self._report(connection)),
            )
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            self._connection = None
            connection.close()

    async def _report(self, connection: Connection) -> None:
        while True:
            await asyncio.sleep(self._limits.report_s)
            records = self._traffic.take()
            if not records:
                continue
            try:
                await connection.call(
                    REPORT, ReportParams(records=records), timeout=_CALL_S
                )
            except HiveError as error:
                _log.warning("could not report connections: %s", error)
                self._traffic.give_back(records)

    def _set_policy(self, policy: EgressPolicy) -> None:
        self.policies[policy.agent] = policy
        if policy.halted is not None:
            self._cut(policy.agent)

    def _detach(self, params: DetachParams) -> None:
        self.policies.pop(params.agent, None)
        task = asyncio.ensure_future(self._gone(params.agent))
        self._dropping.add(task)
        task.add_done_callback(self._dropping.discard)

    async def _gone(self, agent: str) -> None:
        self._served.discard(agent)
        await self._drop(agent)

    async def _open(self, agent: str, listener: socket.socket) -> None:
        await self._serve(agent, listener)
        self._served.add(agent)
