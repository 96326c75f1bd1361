"""The dashboard's connections, and the one to drop if there are too many.

Peers on loopback cannot be distinguished by address, so nobody is refused because of
others. Dropped is a peer that has left; else the oldest of those that have not used a
name of the dashboard that only the operator's browser knows; else the one that has kept
us waiting for the longest time.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field

from pyglue.limits import HttpLimits


@dataclass(eq=False, kw_only=True)
class Caller:
    """One connection. ``body`` is the most that is kept for its request."""

    sock: socket.socket
    peer: str
    body: int = 0
    transport: asyncio.WriteTransport | None = None
    received: bytearray = field(default_factory=bytearray)
    task: "asyncio.Task[None] | None" = None
    begun: bool = False
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when an answer has begun."""
    known: bool = False
    """Whether its request named one of the dashboard's own addresses."""
    has_turn: bool = False
    """Whether the app is working on it."""
    left: bool = False
    """Whether the peer will send nothing more; most have closed the connection."""

    @property
    def unread(self) -> int:
        """The part of its answer that is still kept."""
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def drop(self) -> None:
        """End it now, whatever it is doing."""
        if self.task is not None:
            self.task.cancel()
        if not self.begun:  # the task would never run, and close nothing
            self.sock.close()


class Callers:
    """All connections, within ``HttpLimits``."""

    def __init__(self, limits: HttpLimits, proxies: Iterable[str]) -> None:
        self._limits = limits
        self._proxies = frozenset(proxies)
        self._open: dict[Caller, None] = {}
        self._waiting: dict[Caller, None] = {}
        """Those with an incomplete request, oldest first."""
        self._left: dict[Caller, None] = {}
        """Those that left before their answer, oldest first."""

    def admit(self, caller: Caller) -> bool:
        """Accept a connection, and make room for it; False if none can be dropped."""
        limits, address = self._limits, _address(caller.peer)
        if not address.is_loopback and str(address) not in self._proxies:
            own = [one for one in self._open if one.peer == caller.peer]
            if len(own) >= limits.connections_of_one and not self.drop_oldest(own):
                return False
        if len(self._open) >= limits.connections and not self._drop_one():
            return False
        self._open[caller] = None
        self.waits(caller)
        return True

    def _drop_one(self) -> bool:
        strangers = (one for one in self._open if not one.known)
        one = next(iter(self._left), None) or next(strangers, None)
        if one is None:
            return self.drop_oldest()
        self.forget(one)
        one.drop()
        return True

    def waits(self, caller: Caller) -> None:
        """Record that a request has begun."""
        self._waiting[caller] = None

    def is_whole(self, caller: Caller) -> None:
        """Record that its request is complete."""
        self._waiting.pop(caller, None)
        caller.body = 0

    def leaves(self, caller: Caller) -> None:
        """Record that its peer will send nothing more."""
        caller.left = True
        if caller in self._open and not caller.answered.is_set():
            self._left[caller] = None

    def drop_oldest(self, among: Iterable[Caller] | None = None) -> bool:
        """Drop a peer that left, or the one that has kept us waiting the longest."""
        wanted = None if among is None else set(among)
        for one in (*self._left, *self._waiting):
            if wanted is None or one in wanted:
                self.forget(one)
                one.drop()
                return True
        return False

    def forget(self, caller: Caller) -> None:
        """Record that it has ended."""
        self._waiting.pop(caller, None)
        self._left.pop(caller, None)
        self._open.pop(caller, None)

    def reserve(self, caller: Caller, length: int) -> None:
        """Reserve memory for a body; the oldest incomplete requests make room."""
        caller.body = length
        while sum(one.body for one in self._open) > self._limits.bodies_bytes:
            others = [one for one in self._waiting if one.body and one is not caller]
            if not self.drop_oldest(others):
                return

    def look(self, caller: Caller) -> None:
        """Drop the slowest reader of its answer if too much is kept in total."""
        if (
            caller.unread
            and sum(one.unread for one in self._open) > self._limits.answers_bytes
        ):
            most = max(self._open, key=lambda one: one.unread)
            self.forget(most)
            most.drop()


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address
