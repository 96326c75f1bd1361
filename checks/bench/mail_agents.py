"""Who writes and who waits in the benchmark of a message's way."""

from typing import Final

SENDER: Final = "sender"
PARKED: Final = tuple(f"agent-{number}" for number in range(100))
NAMES: Final = (SENDER, *PARKED)
