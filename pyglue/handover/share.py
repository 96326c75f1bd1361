"""How many of a daemon's connections each agent may have: an equal share of all."""

import resource
from typing import Final

_LEAST: Final = 2
_DESCRIPTORS: Final = 3
"""An agent's connection, one to the outside, and one that is about to close."""


def connections_each(agents: int, *, most: int, reserved: int) -> int:
    """Return the maximum for one of ``agents``, at most ``most``.

    ``reserved`` descriptors are never used for agents' connections.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    fair = max(0, soft - reserved) // (_DESCRIPTORS * max(1, agents))
    return max(_LEAST, min(most, fair))
