"""hive-egress's connection to hived: agents' policies, and reports of connections.

Without hived, new connections are refused.
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass

from pyglue.api.egress import (
    ATTACH,
    INJECT,
    POLICY,
    REPORT,
    AttachParams,
    EgressPolicy,
    HeaderLine,
    InjectParams,
    ReportParams,
)
from pyglue.egress.refusal import RefusedError
from pyglue.egress.traffic import Traffic
from pyglue.errors import HiveError
from pyglue.handover import link as handover
from pyglue.handover.link import CALL_S
from pyglue.jsonrpc import Connection
from pyglue.limits import EgressLimits
from pyglue.net.hosts import Host
from pyglue.paths import Layout

_log = logging.getLogger(__name__)


def place(layout: Layout) -> handover.Place[EgressPolicy]:
    """Return the sockets by which hive-egress reaches hived."""
    return handover.Place(
        client="hive-egress",
        calls=layout.egress_socket,
        sockets=layout.egress_fds_socket,
        policy=POLICY,
    )


@dataclass(kw_only=True, eq=False)
class Link(handover.Link[EgressPolicy]):
    """Keeps the connection to hived, and reports connections and refusals."""

    traffic: Traffic
    limits: EgressLimits
    authority: str
    """The certificate that agents' programs must trust."""

    def policy(self, agent: str) -> EgressPolicy:
        """Return the policy of an agent: the hosts that it may reach.

        Raises:
            RefusedError: hived is not connected, or does not know the agent.
        """
        found = self.policies.get(agent) if self.connection else None
        if found is None:
            raise _absent()
        return found

    async def lines(self, agent: str, host: Host) -> tuple[HeaderLine, ...]:
        """Return the headers with secrets for the requests of one connection.

        Raises:
            RefusedError: hived refused, with the reason, or is not connected.
        """
        connection = self.connection
        if connection is None:
            raise _absent()
        params = InjectParams(agent=agent, host=host.name, port=host.port)
        try:
            return (await connection.call(INJECT, params, timeout=CALL_S)).headers
        except HiveError as error:
            raise RefusedError(503, error.message) from None

    async def attach(self, connection: Connection) -> Iterable[EgressPolicy]:
        """Request the policies."""
        return (
            await connection.call(
                ATTACH, AttachParams(authority=self.authority), timeout=CALL_S
            )
        ).policies

    async def report(self, connection: Connection) -> None:
        """Report the connections, aggregated, every ``report_s`` seconds."""
        while True:
            await asyncio.sleep(self.limits.report_s)
            records = self.traffic.take()
            if not records:
                continue
            try:
                await connection.call(
                    REPORT, ReportParams(records=records), timeout=CALL_S
                )
            except HiveError as error:
                _log.warning("could not report connections: %s", error)
                self.traffic.give_back(records)


def _absent() -> RefusedError:
    return RefusedError(503, "hived is not connected; it may be restarting. Try again.")
