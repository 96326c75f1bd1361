"""The usage of a listener by one peer, counted over all of its connections.

A ``Peer`` is an agent on its socket, the relay, or a user on the operator's socket. Its
connections, calls and bytes are limited (``pyglue.limits``), and reading, lines,
answers and refusals are charged to a bucket of units. A connection asks here before it
reads on. A ``Pool`` adds up all agents, so that together they cannot exceed what one
alone may not. Only the event loop's thread uses any of this.
"""

import math
import time
from collections.abc import Callable
from typing import Final, Protocol

from pyglue.limits import RpcLimits

_REFILL_S: Final = 0.1
"""Seconds of its rate that an empty bucket must regain before it is used again."""


class Member(Protocol):
    """A connection, as its peer sees it."""

    def held(self) -> int:
        """Return the bytes that are buffered for it."""

    def abort(self) -> None:
        """Drop it now, and discard everything buffered for it."""


class Pool:
    """What several peers may use together."""

    def __init__(self, *, connections: int, bytes_max: int) -> None:
        self.peers: set[Peer] = set()
        self.connections = 0
        self.bytes = 0
        self._connections_max = connections
        self._bytes_max = bytes_max

    @property
    def is_full(self) -> bool:
        """Whether it has no connection left."""
        return self.connections >= self._connections_max

    def shrink(self) -> None:
        """While too much is buffered, drop a connection of the peer with the most."""
        while self.bytes > self._bytes_max:
            largest = max(self.peers, key=lambda peer: peer.bytes)
            if not largest.drop_largest():
                return


class Peer:
    """One peer's account."""

    def __init__(
        self,
        limits: RpcLimits,
        *,
        pool: Pool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits
        self.connections: set[Member] = set()
        self.running = 0
        """Running calls."""
        self.bytes = 0
        """Buffered bytes, when last measured."""
        self.refused = 0
        """Refused connections and lines, in total."""
        self.dropped = 0
        """Connections dropped because too much was buffered for them, in total."""
        self._pool = pool
        self._clock = clock
        self._left = limits.bucket.burst
        self._at = clock()
        if pool is not None:
            pool.peers.add(self)

    # --- connections --------------------------------------------------------------

    def join(self, member: Member) -> bool:
        """Count a connection; False if it is one too many."""
        pool = self._pool
        full = pool is not None and pool.is_full
        if full or len(self.connections) >= self.limits.connections:
            return False
        self.connections.add(member)
        if pool is not None:
            pool.connections += 1
        return True

    def leave(self, member: Member) -> None:
        """Stop counting it. Idempotent."""
        if member not in self.connections:
            return
        self.connections.discard(member)
        if self._pool is not None:
            self._pool.connections -= 1
        self._measure()

    def close(self) -> None:
        """Leave the pool: the listener is gone."""
        if self._pool is not None:
            self._pool.bytes -= self.bytes
            self._pool.connections -= len(self.connections)
            self._pool.peers.discard(self)
            self._pool = None

    # --- work ---------------------------------------------------------------------

    def charge(self, units: float, size: int = 0) -> None:
        """Take units, and those for ``size`` bytes; the balance may become negative."""
        self._left -= units + size / self.limits.bucket.unit_bytes

    def refuse(self) -> None:
        """Count and charge a refusal."""
        self.refused += 1
        self.charge(self.limits.bucket.refusal)

    def wait(self) -> float:
        """Return the seconds until this peer may be read from again, 0 for now."""
        bucket, now = self.limits.bucket, self._clock()
        if math.isinf(bucket.rate):
            return 0.0
        self._left = min(bucket.burst, self._left + (now - self._at) * bucket.rate)
        self._at = now
        return 0.0 if self._left >= 0 else _REFILL_S - self._left / bucket.rate

    # --- memory -------------------------------------------------------------------

    def shrink(self) -> None:
        """Measure what is buffered, and drop the largest connections over the limit."""
        self._measure()
        while self.bytes > self.limits.bytes_all and self.drop_largest():
            pass
        if self._pool is not None:
            self._pool.shrink()

    def drop_largest(self) -> bool:
        """Drop the connection with the most buffered; False if nothing is buffered."""
        largest = max(self.connections, key=lambda one: one.held(), default=None)
        if largest is None or largest.held() == 0:
            self._measure()
            return False
        self.dropped += 1
        self.leave(largest)
        largest.abort()
        return True

    def _measure(self) -> None:
        held = sum(member.held() for member in self.connections)
        if self._pool is not None:
            self._pool.bytes += held - self.bytes
        self.bytes = held
