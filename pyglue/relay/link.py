"""The relay's connection to hived: policies, listening sockets, money.

Reconnects by itself when hived restarts. Until then, new requests are told to try
again, running answers continue, and their usage is settled later. hived then creates
new sockets, which replace the old ones.
"""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from pyglue.api.common import PROTOCOL, HelloParams
from pyglue.api.relay import (
    ATTACH,
    DETACH,
    POLICY,
    RESERVE,
    SETTLE,
    AttachParams,
    DetachParams,
    ModelPolicy,
    ReserveParams,
    SettleParams,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.handover.take import Serve, take
from pyglue.jsonrpc import Connection, Handlers, connect
from pyglue.paths import Layout

_PAUSES_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_CALL_S: Final = 10.0
_UNSETTLED_MAX: Final = 10_000

_log = logging.getLogger(__name__)

Drop = Callable[[str], Awaitable[None]]
Cut = Callable[[str], None]


@dataclass(kw_only=True, eq=False)
class Link:
    """Keeps the connection to hived."""

    layout: Layout
    serve: Serve
    """Open an agent's listener."""
    drop: Drop
    """Close it."""
    cut: Cut
    """Abort the answers that are running on it, but leave it open."""
    attached: Callable[[], object]
    """Called each time hived has sent the policies of all agents."""
    _connection: Connection | None = field(default=None, init=False)
    _policies: dict[str, ModelPolicy] = field(default_factory=dict, init=False)
    _served: set[str] = field(default_factory=set, init=False)
    _unsettled: deque[SettleParams] = field(
        default_factory=lambda: deque(maxlen=_UNSETTLED_MAX), init=False
    )
    _unpaid: set[int] = field(default_factory=set, init=False)
    """Reservations whose settlement has not reached hived."""
    _dropping: set[asyncio.Future[None]] = field(default_factory=set, init=False)

    # --- for requests ---------------------------------------------------------------

    def policy(self, agent: str) -> ModelPolicy:
        """Return an agent's policy.

        Raises:
            HiveError: ``unavailable`` while hived is not connected, or does not allow
                this agent to use a model.
        """
        self._live()
        found = self._policies.get(agent)
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
        got = await self._live().call(RESERVE, params, timeout=_CALL_S)
        self._unpaid.add(got.reservation)
        return got.reservation

    async def settle(self, params: SettleParams) -> None:
        """Report the usage; kept until hived is connected."""
        try:
            await self._live().call(SETTLE, params, timeout=_CALL_S)
            self._unpaid.discard(params.reservation)
        except HiveError as error:
            if error.code in (ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT):
                self._unsettled.append(params)
            else:
                self._unpaid.discard(params.reservation)
                _log.warning("could not settle a request: %s", error)

    def _live(self) -> Connection:
        if self._connection is None:
            raise HiveError(
                ErrorCode.UNAVAILABLE,
                "hived is not connected; it may be restarting. Try again in a moment.",
            )
        return self._connection

    # --- the connection -------------------------------------------------------------

    async def run(self) -> None:
        """Connect, and reconnect, for as long as the relay runs.

        Raises:
            HiveError: ``unsupported_protocol``: this hived never accepts this relay.
        """
        tries = 0
        while True:
            try:
                await self._attach()
                tries = 0
            except HiveError as error:
                if error.code is ErrorCode.UNSUPPORTED_PROTOCOL:
                    raise
                level = logging.WARNING if tries == len(_PAUSES_S) else logging.DEBUG
                _log.log(level, "no connection to hived: %s", error)
                tries += 1
            await asyncio.sleep(_PAUSES_S[min(tries, len(_PAUSES_S) - 1)])

    async def _attach(self) -> None:
        handlers = Handlers()
        handlers.on_note(POLICY, self._set_policy)
        handlers.on_note(DETACH, self._detach)
        hello = HelloParams(protocol=PROTOCOL, client="hive-relay")
        self._policies.clear()
        connection = await connect(self.layout.relay_socket, handlers, hello=hello)
        try:
            hived = await connection.call(
                ATTACH, AttachParams(open=tuple(self._unpaid)), timeout=_CALL_S
            )
            for policy in hived.policies:
                self._set_policy(policy)
            for agent in self._served - self._policies.keys():
                await self._gone(agent)
            self._connection = connection
            _log.info("connected to hived")
            self.attached()
            doors = asyncio.create_task(take(self.layout.relay_fds_socket, self._open))
            settled = asyncio.create_task(self._settle_kept())
            gone = asyncio.create_task(connection.wait_closed())
            try:
                await asyncio.wait({doors, gone}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (doors, settled, gone):
                    task.cancel()
                await asyncio.gather(doors, settled, gone, return_exceptions=True)
        finally:
            self._connection = None
            connection.close()

    async def _settle_kept(self) -> None:
        while self._unsettled and self._connection is not None:
            await self.settle(self._unsettled.popleft())

    def _set_policy(self, policy: ModelPolicy) -> None:
        self._policies[policy.agent] = policy
        if policy.halted is not None:
            self.cut(policy.agent)

    def _detach(self, params: DetachParams) -> None:
        self._policies.pop(params.agent, None)
        task = asyncio.ensure_future(self._gone(params.agent))
        self._dropping.add(task)
        task.add_done_callback(self._dropping.discard)

    async def _gone(self, agent: str) -> None:
        self._served.discard(agent)
        await self.drop(agent)

    async def _open(self, agent: str, listener: socket.socket) -> None:
        await self.serve(agent, listener)
        self._served.add(agent)
