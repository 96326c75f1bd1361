"""Who writes and who waits in the benchmark of a message's way."""

from typing import Final

SENDER: Final = "sender"


def parked(count: int) -> tuple[str, ...]:
    """Return the names of ``count`` agents that wait."""
    return tuple(f"agent-{number}" for number in range(count))


PARKED: Final = parked(100)
