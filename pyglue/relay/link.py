"""The relay's connection to hived: an agent's policy, and money.

While hived is not connected, new requests are told to try again; the usage of running
answers is settled later.
"""

import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from pyglue.api.relay import (
    ATTACH,
    POLICY,
    RESERVE,
    SETTLE,
    AttachParams,
    ModelPolicy,
    ReserveParams,
    SettleParams,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.handover import link as handover
from pyglue.handover.link import CALL_S
from pyglue.jsonrpc import Connection
from pyglue.paths import Layout

_UNSETTLED_MAX: Final = 10_000

_log = logging.getLogger(__name__)


def place(layout: Layout) -> handover.Place[ModelPolicy]:
    """Return where the relay reaches hived."""
    return handover.Place(
        client="hive-relay",
        calls=layout.relay_socket,
        sockets=layout.relay_fds_socket,
        policy=POLICY,
    )


@dataclass(kw_only=True, eq=False)
class Link(handover.Link[ModelPolicy]):
    """Keeps the connection to hived, and the books of what it has yet to be told."""

    _unsettled: deque[SettleParams] = field(
        default_factory=lambda: deque(maxlen=_UNSETTLED_MAX), init=False
    )
    _unpaid: set[int] = field(default_factory=set, init=False)
    """Reservations whose settlement has not reached hived."""

    def policy(self, agent: str) -> ModelPolicy:
        """Return an agent's policy.

        Raises:
            HiveError: ``unavailable`` while hived is not connected, or does not allow
                this agent to use a model.
        """
        self._live()
        found = self.policies.get(agent)
        if found is not None and found.halted is not None:
            raise HiveError(ErrorCode.UNAVAILABLE, found.halted)
        if found is None:
            raise HiveError(
                ErrorCode.UNAVAILABLE,
                "The hive has not yet sent this agent's policy; try again in a moment.",
            )
        return found

    async def reserve(self, params: ReserveParams) -> int:
        """Reserve money and tokens and return the reservation.

        Raises:
            HiveError: ``over_budget``, ``unavailable``, ``timeout``.
        """
        got = await self._live().call(RESERVE, params, timeout=CALL_S)
        self._unpaid.add(got.reservation)
        return got.reservation

    async def settle(self, params: SettleParams) -> None:
        """Report the usage; kept until hived is connected."""
        try:
            await self._live().call(SETTLE, params, timeout=CALL_S)
            self._unpaid.discard(params.reservation)
        except HiveError as error:
            if error.code in (ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT):
                self._unsettled.append(params)
            else:
                self._unpaid.discard(params.reservation)
                _log.warning("could not settle a request: %s", error)

    async def attach(self, connection: Connection) -> Iterable[ModelPolicy]:
        """Report which reservations are still to be settled."""
        asked = AttachParams(open=tuple(self._unpaid))
        return (await connection.call(ATTACH, asked, timeout=CALL_S)).policies

    async def report(self, connection: Connection) -> None:
        """Settle what could not be settled while hived was not connected."""
        while self._unsettled and self.connection is not None:
            await self.settle(self._unsettled.popleft())
        await connection.wait_closed()

    def _live(self) -> Connection:
        if self.connection is None:
            raise HiveError(
                ErrorCode.UNAVAILABLE,
                "hived is not connected; it may be restarting. Try again in a moment.",
            )
        return self.connection
