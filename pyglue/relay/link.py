"""The relay's connection to hived: policies, listening sockets, money.

Comes back by itself when hived restarts. hived makes new sockets then, so the old
ones are dropped when the connection is lost.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from pyglue.api.common import PROTOCOL, HelloParams, NoParams
from pyglue.api.relay import (
    ATTACH,
    DETACH,
    POLICY,
    RESERVE,
    SETTLE,
    DetachParams,
    Listener,
    ModelPolicy,
    ReserveParams,
    SettleParams,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import Connection, Handlers, connect, short_path
from pyglue.paths import Layout

_PAUSES_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_DATAGRAM_MAX: Final = 4096
_CALL_S: Final = 10.0

_log = logging.getLogger(__name__)

Serve = Callable[[str, socket.socket], Awaitable[None]]
Drop = Callable[[str], Awaitable[None]]


class Link:
    """Keeps the connection; ``serve`` and ``drop`` open and close an agent's door."""

    def __init__(self, layout: Layout, *, serve: Serve, drop: Drop) -> None:
        self._layout = layout
        self._serve = serve
        self._drop = drop
        self._connection: Connection | None = None
        self._policies: dict[str, ModelPolicy] = {}

    def policy(self, agent: str) -> ModelPolicy:
        """Return what an agent may ask.

        Raises:
            HiveError: ``unavailable`` while hived is not connected.
        """
        found = self._policies.get(agent)
        if found is None or self._connection is None:
            raise HiveError(
                ErrorCode.UNAVAILABLE, "The hive is starting; try again in a moment."
            )
        return found

    async def reserve(self, agent: str, model: str, cost_usd: float) -> int:
        """Set money aside.

        Raises:
            HiveError: ``over_budget``, ``unavailable``.
        """
        params = ReserveParams(agent=agent, model=model, cost_usd=cost_usd)
        return (await self._live().call(RESERVE, params, timeout=_CALL_S)).reservation

    async def settle(self, params: SettleParams) -> None:
        """Tell what was used; a hive that is gone keeps the whole reservation."""
        try:
            await self._live().call(SETTLE, params, timeout=_CALL_S)
        except HiveError as error:
            _log.warning("a request was not settled: %s", error)

    def _live(self) -> Connection:
        if self._connection is None:
            raise HiveError(
                ErrorCode.UNAVAILABLE, "The hive is not there; try again in a moment."
            )
        return self._connection

    async def run(self) -> None:
        """Connect, and connect again, for as long as the relay runs."""
        tries = 0
        while True:
            try:
                await self._attached()
                tries = 0
            except HiveError as error:
                level = logging.DEBUG if tries < len(_PAUSES_S) else logging.WARNING
                _log.log(level, "no connection to hived: %s", error)
            await asyncio.sleep(_PAUSES_S[min(tries, len(_PAUSES_S) - 1)])
            tries += 1

    async def _attached(self) -> None:
        handlers = Handlers()
        handlers.on_note(POLICY, self._set_policy)
        handlers.on_note(DETACH, self._detach)
        hello = HelloParams(protocol=PROTOCOL, client="hive-relay")
        connection = await connect(self._layout.relay_socket, handlers, hello=hello)
        try:
            attached = await connection.call(ATTACH, NoParams(), timeout=_CALL_S)
            for policy in attached.policies:
                self._set_policy(policy)
            self._connection = connection
            _log.info("connected to hived")
            doors = asyncio.create_task(self._doors())
            gone = asyncio.create_task(connection.wait_closed())
            try:
                await asyncio.wait({doors, gone}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (doors, gone):
                    task.cancel()
                await asyncio.gather(doors, gone, return_exceptions=True)
        finally:
            self._connection = None
            connection.close()
            for agent in list(self._policies):
                await self._drop(agent)
            self._policies.clear()

    async def _doors(self) -> None:
        """Take one descriptor a datagram until hived closes the channel."""
        channel = socket.socket(
            socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK
        )
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        try:
            with short_path(self._layout.relay_fds_socket) as name:
                await loop.sock_connect(channel, name)
            loop.add_reader(channel, readable.set)
            while True:
                await readable.wait()
                readable.clear()
                with contextlib.suppress(BlockingIOError):
                    while await self._door(channel):
                        pass
                    return
        except OSError as error:
            _log.warning("no sockets from hived: %s", error)
        finally:
            loop.remove_reader(channel)
            channel.close()

    async def _door(self, channel: socket.socket) -> bool:
        data, descriptors, _, _ = socket.recv_fds(channel, _DATAGRAM_MAX, 4)
        if not data:
            return False
        try:
            agent = msgspec.json.decode(data, type=Listener).agent
            (descriptor,) = descriptors
        except (msgspec.DecodeError, ValueError):
            for extra in descriptors:
                os.close(extra)
            return True
        listener = socket.socket(fileno=descriptor)
        listener.setblocking(False)
        await self._serve(agent, listener)
        return True

    def _set_policy(self, policy: ModelPolicy) -> None:
        self._policies[policy.agent] = policy

    def _detach(self, params: DetachParams) -> None:
        self._policies.pop(params.agent, None)
        task = asyncio.ensure_future(self._drop(params.agent))
        task.add_done_callback(lambda done: done.exception())
