"""The usage of a listener by one peer, counted over all of its connections.

A ``Peer`` is an agent on its socket, the relay, or a user on the operator's socket. It
has so many connections, calls and bytes (``pyglue.limits``), and a bucket of units that
reading, lines, answers and refusals are charged to. A connection asks here before it
reads on. A ``Pool`` adds up all agents, so that many of them do not take together what
none may take alone. Only the event loop's thread touches any of this.
"""

import math
import time
from collections.abc import Callable
from typing import Final, Protocol

from pyglue.limits import RpcLimits

_REFILL_S: Final = 0.1
"""A bucket that ran empty is used again when it holds this much of its rate."""


class Member(Protocol):
    """A connection, as far as its peer sees it."""

    def held(self) -> int:
        """Return the bytes that are held for it."""

    def abort(self) -> None:
        """Drop it now, with all that is held for it."""


class Pool:
    """What many peers may take together."""

    def __init__(self, *, connections: int, bytes_max: int) -> None:
        self.peers: set[Peer] = set()
        self.connections = 0
        self.bytes = 0
        self._connections_max = connections
        self._bytes_max = bytes_max

    @property
    def is_full(self) -> bool:
        """Whether nobody may connect for now."""
        return self.connections >= self._connections_max

    def shrink(self) -> None:
        """Drop connections of whoever holds most while too much is held."""
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
        """Calls that run."""
        self.bytes = 0
        """Bytes held, when it was last looked at."""
        self.refused = 0
        """Connections and lines that were refused, ever."""
        self.dropped = 0
        """Connections that were dropped because too much was held for them, ever."""
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
        """Count it no more; again is no error."""
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
        """Take units, and those of ``size`` bytes; more than there are is a debt."""
        self._left -= units + size / self.limits.bucket.unit_bytes

    def refuse(self) -> None:
        """Count and charge what is refused."""
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
        """Look at what is held, and drop what is too much: the largest first."""
        self._measure()
        while self.bytes > self.limits.bytes_all and self.drop_largest():
            pass
        if self._pool is not None:
            self._pool.shrink()

    def drop_largest(self) -> bool:
        """Drop the connection that holds most; False if none holds anything."""
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
