"""How much of something may come, and how fast.

An agent's container is free in what it tells hived, so hived decides what it takes:
``history``, ``registry`` and ``api.agent`` ask here. No clock of its own.
"""

from dataclasses import dataclass, field


@dataclass
class TokenBucket:
    """Lets ``burst`` through at once, and ``rate`` a second for as long as it likes."""

    burst: float
    rate: float
    _left: float = field(init=False)
    _at: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Begin with all of the burst."""
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
