"""Rate limits: how much of something hived accepts, and how fast.

An agent's container can send hived anything, so hived limits what it accepts:
``history``, ``registry`` and ``api.agent`` use this. It has no clock of its own.
"""

from dataclasses import dataclass, field


@dataclass
class TokenBucket:
    """Allows ``burst`` at once, and ``rate`` per second continuously."""

    burst: float
    rate: float
    _left: float = field(init=False)
    _at: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Start with the full burst."""
        self._left = self.burst

    def take(self, size: float, now: float) -> bool:
        """Return whether ``size`` more may pass at ``now`` (seconds), and count it."""
        if self._at is not None:
            self._left = min(self.burst, self._left + (now - self._at) * self.rate)
        self._at = now
        if self._left < size:
            return False
        self._left -= size
        return True
